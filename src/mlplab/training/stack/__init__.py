"""The stack in which runs train: its network and batches, and what its training comes to."""
