"""What `mlplab` offers in Python: the same functions as the commands, for frames and in notebooks."""
