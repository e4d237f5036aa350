"""How far training has come."""

from dataclasses import dataclass


@dataclass
class Progress:
    """The epochs and steps that have been made.

    Args:
        steps: of an epoch.
        max_epochs: after which training ends.
        epoch: number of epochs that have been completed, validation included.
        step: number of steps that have been made of the next epoch.
    """

    steps: int
    max_epochs: int
    epoch: int = 0
    step: int = 0

    @property
    def total(self) -> int:
        """The number of steps that have been made."""
        return self.epoch * self.steps + self.step
