"""What watches a training, and writes: run folders, checkpoints, curves, progress."""
