"""How far training has come, which members of a stack still train, and why the others have stopped."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from mlplab.training.scoring.scores import Mean


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


# Steps of an epoch after which losses are checked for divergence: a table may be large.
CHECK_EVERY_STEPS = 1000


class Members:
    """Which members still train.

    Args:
        count: the number of members.
        ensemble: the number of members of each run, which follow each other.

    Attributes:
        active: which have not stopped; nothing is logged or saved of a member after its stop.
        epochs: the number of epochs that each has trained.
        diverged: why members have diverged, by their indices.
    """

    def __init__(self, count: int, ensemble: int) -> None:
        self.ensemble = ensemble
        self.active: Bool[Tensor, " member"] = torch.ones(count, dtype=torch.bool)
        self.epochs: Int64[Tensor, " member"] = torch.zeros(count, dtype=torch.int64)
        self.diverged: dict[int, str] = {}

    def check_losses(self, losses: Mean, progress: Progress) -> None:
        """Stops members of which a loss of the epoch's steps is not finite."""
        by_step = torch.cat(losses.values, 1)
        is_bad = ~by_step.isfinite()
        for member in is_bad.any(1).nonzero().flatten().tolist():
            step = int(is_bad[member].int().argmax())
            loss, number = by_step[member, step].item(), progress.epoch * progress.steps + step + 1
            self._diverge(member, f"the loss became {loss} at step {number}", progress)

    def end_epoch(self, val_losses: Float[Tensor, " member"], progress: Progress, step: int) -> None:
        """Counts an epoch of the active members, after that number of steps, if their losses are finite."""
        for member, loss in enumerate(val_losses.tolist()):
            if not math.isfinite(loss):
                self._diverge(member, f"the validation loss became {loss} after step {step}", progress)
        self.epochs += self.active
        progress.epoch, progress.step = progress.epoch + 1, 0

    def _diverge(self, member: int, reason: str, progress: Progress) -> None:
        if self.active[member]:
            self.active[member] = False
            remedy = "try a lower optimizer.lr, or trainer.gradient_clip_val=1"
            self.diverged[member] = f"{reason}, in epoch {progress.epoch + 1}; {remedy}"

    def not_diverged(self) -> Bool[Tensor, " member"]:
        """Which members have not diverged."""
        return torch.tensor([member not in self.diverged for member in range(len(self.active))])

    def active_runs(self) -> Bool[Tensor, " run"]:
        """Which runs have an active member."""
        return self.active.view(-1, self.ensemble).any(1)

    def by_run(
        self, values: Float[Tensor, "*value member"], members: Bool[Tensor, " member"] | None = None
    ) -> Float[Tensor, "*value run"]:
        """The mean of each run's members, by default of active ones (a single network's own value).

        NaN if it has none of these members.
        """
        if self.ensemble == 1 and members is None:
            return values
        counted = self.active if members is None else members
        counted, by_run = (each.view(*each.shape[:-1], -1, self.ensemble) for each in (counted, values))
        return torch.where(counted, by_run, 0).sum(-1) / counted.sum(-1)
