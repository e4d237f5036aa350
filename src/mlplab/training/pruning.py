"""Successive halving within a stack: runs that are behind others after the same share of training stop.

The rule is that of ASHA (Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning", algorithm
2): of the runs that have reached a rung, the best 1 / `FACTOR` go on. The runs of a stack reach it together,
so the rule decides about all of them at once; runs that reached it before count, too.

Each run keeps the learning rate schedule of its full length, and runs are compared at equal shares of it. So
a run that is not pruned trains as if there were no rungs.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float64
from lightning.pytorch import Trainer
from torch import Tensor

from mlplab.config.metrics import sign_of
from mlplab.training.best_weights import BestWeights
from mlplab.training.callbacks import EarlyStopping, StackCallback
from mlplab.training.module import StackModule

FACTOR = 3
"""One in this many runs goes on after a rung."""


@dataclass(frozen=True)
class Rung:
    """A point in training at which runs are compared.

    Args:
        share: the fraction of a run's epochs after which it is compared.
        earlier: the values of runs that reached the rung before: their best monitored metric until then,
            negated if the highest is the best.
    """

    share: float
    earlier: tuple[float, ...]


@dataclass(frozen=True)
class Bracket:
    """When a run may be pruned. Runs of a stack are compared if their rungs are equal.

    Args:
        rungs: by ascending share.
        deadline: the time at which the run is pruned, in seconds since 1970; None: it has no limit.
    """

    rungs: tuple[Rung, ...]
    deadline: float | None = None


def rung_numbers(rungs: Sequence[Rung], epochs: int) -> dict[int, int]:
    """The number of a rung, from 1, by the epoch after which runs of so many epochs are compared.

    After the last epoch, they are not. Of several rungs at one epoch, the last counts.
    """
    found = {
        max(1, math.ceil(round(rung.share * epochs, 9))): number  # 0.07 of 100 epochs are 7
        for number, rung in enumerate(rungs, 1)
    }
    return {epoch: number for epoch, number in found.items() if epoch < epochs}


def survivors(values: Sequence[float], earlier: Sequence[float]) -> list[bool]:
    """Which values, of which low ones are good, are among the best `places` of these and the earlier ones.

    Values that are equal to the last of these are, too.
    """
    both = sorted([*values, *earlier])
    last = both[places(len(both)) - 1]
    return [value <= last for value in values]


def places(runs: int) -> int:
    """How many of the runs that have reached a rung go on."""
    return max(1, runs // FACTOR)


class Pruning(StackCallback):
    """Stops the members of runs that are not among the best at a rung.

    Only active runs are compared. A run's value is its best monitored metric so far, `BestWeights.by_run`.

    Args:
        brackets: of each run; None: it is not pruned.
        best: has compared the epoch's values already.
        stopping: keeps the tensors of members that stop.

    Attributes:
        reasons: why members have been pruned, by their indices.
        values: by the number of a rung, the values with which members reached it, negated if the highest is
            the best; infinity if the metric is not defined, NaN if they have not reached the rung.
    """

    def __init__(
        self, brackets: Sequence[Bracket | None], best: BestWeights, stopping: EarlyStopping
    ) -> None:
        self.best, self.stopping = best, stopping
        self.runs: dict[tuple[Rung, ...], list[int]] = {}
        for run, bracket in enumerate(brackets):
            if bracket:
                self.runs.setdefault(bracket.rungs, []).append(run)
        self.deadlines = {run: each.deadline for run, each in enumerate(brackets) if each and each.deadline}
        self.reasons: dict[int, str] = {}
        self.values: dict[str, Float64[Tensor, " member"]] = {}

    def on_epoch(self, trainer: Trainer, module: StackModule) -> None:
        """Compares the runs that have reached a rung."""
        epochs, epoch = trainer.max_epochs or 0, trainer.current_epoch + 1
        active = module.active_runs().tolist()
        for rungs, runs in self.runs.items():
            number = rung_numbers(rungs, epochs).get(epoch)
            if number and (reached := [run for run in runs if active[run]]):
                where = f"rung {number} of {len(rungs)}, after epoch {epoch} of {epochs}"
                self._compare(reached, rungs[number - 1], number, where, module)
        if epoch < epochs and self.deadlines:
            reason, now = f"pruned after epoch {epoch} of {epochs}: the time is over", time.time()
            for run in [run for run, deadline in self.deadlines.items() if now > deadline]:
                self._prune(run, reason, module)
        trainer.should_stop |= not module.active.any()

    def _compare(self, runs: Sequence[int], rung: Rung, number: int, where: str, module: StackModule) -> None:
        values = self.best.by_run(module).nan_to_num(torch.inf, torch.inf)
        total, sign = len(runs) + len(rung.earlier), sign_of(module.monitor)
        saved = self.values.setdefault(str(number), torch.full((len(module.active),), torch.nan).double())
        for run, survives in zip(runs, survivors(values[runs].tolist(), rung.earlier), strict=True):
            value = values[run].item()
            saved[self._members(run, module)] = value
            if not survives:
                shown = f"{module.monitor} {sign * value:.4g}"
                reason = f"pruned at {where}: {shown} is not among the best {places(total)} of {total}"
                self._prune(run, reason, module)

    def _prune(self, run: int, reason: str, module: StackModule) -> None:
        """Stops the active members of a run."""
        chosen = torch.zeros_like(module.active)
        chosen[self._members(run, module)] = True
        if (chosen & module.active).any():
            self.reasons.update(dict.fromkeys(self._members(run, module), reason))
            self.stopping.stop(chosen & module.active, module)

    def _members(self, run: int, module: StackModule) -> list[int]:
        return list(range(run * module.ensemble, (run + 1) * module.ensemble))

    def metrics(self, member: int, sign: int) -> dict[str, float | int]:
        """The monitored metric of a member's run at each rung that it has reached, as `rung/NUMBER`; if it
        was pruned, the number of the last one, as `rung`.

        Args:
            sign: −1 if the highest metric is the best, else 1.
        """
        reached = {
            number: value
            for number, values in self.values.items()
            if not math.isnan(value := values[member].item())
        }
        last = {"rung": max(map(int, reached))} if member in self.reasons and reached else {}
        return {f"rung/{number}": sign * value for number, value in reached.items()} | last
