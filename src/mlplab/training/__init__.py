"""How a network is trained: losses, optimizers, schedules, the LightningModule and its callbacks."""
