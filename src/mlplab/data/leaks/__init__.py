"""What would make scores too good: test rows that were in training, copies of the target, and
neighbours in time."""
