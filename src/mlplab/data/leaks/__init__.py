"""What would make scores too good: test rows that were in training, and copies of the target."""
