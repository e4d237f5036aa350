"""The stack in which runs train: its network and batches; calibration and test scores at the end."""
