"""Where a table's rows come from: files found, unpacked and understood as text, or a frame."""
