"""Sources of a table's rows: finds, decompresses and reads files, or uses a frame."""
