"""Successive halving within a stack: runs that are behind others after the same share of training stop.

As in ASHA (Li et al. 2020, algorithm 2), the best 1 / `FACTOR` of the runs that have reached a rung go on.
The runs of a stack reach it together; earlier ones count, too. Each run has the schedule of its full length,
so one that is not pruned trains as if without rungs.
"""

import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float64
from torch import Tensor

from mlplab.config.metrics import sign_of
from mlplab.training.callbacks.stack_callback import StackCallback
from mlplab.training.rungs import FACTOR, Rung

if TYPE_CHECKING:
    from mlplab.training.fit import StackTrainer


class Pruning(StackCallback):
    """Stops the members of runs that are not among the best at a rung; and training, if its time is over.

    The runs that are active then could go on: their training states are those of the epoch's end. Only
    active runs are compared. A run's value is its best monitored metric so far, `BestWeights.by_run`.

    The brackets of runs have the same deadline.

    Attributes:
        reasons: why members have been pruned, by their indices.
        values: by the number of a rung, the values with which members reached it, negated if the highest is
            the best; infinity if the metric is not defined, NaN if they have not reached the rung.
        time_is_over: whether training has stopped at the deadline.
    """

    time_is_over = False

    def __init__(self) -> None:
        self.reasons: dict[int, str] = {}
        self.values: dict[str, Float64[Tensor, " member"]] = {}

    def on_epoch(self, stack: "StackTrainer") -> None:
        """Compares the runs that have reached a rung."""
        module = stack.module
        epochs, epoch = module.progress.max_epochs, module.progress.epoch
        active, brackets = module.members.active_runs().tolist(), [run.bracket for run in stack.runs]
        runs_by_rungs: dict[tuple[Rung, ...], list[int]] = {}
        for run, bracket in enumerate(brackets):
            if bracket and active[run]:
                runs_by_rungs.setdefault(bracket.rungs, []).append(run)
        for rungs, runs in runs_by_rungs.items():
            if (number := rung_numbers(rungs, epochs).get(epoch)) is None:
                continue
            values, earlier = stack.best.by_run(module), rungs[number - 1].earlier
            values = values.nan_to_num(torch.inf, torch.inf)
            place = f"rung {number} of {len(rungs)}, after epoch {epoch} of {epochs}"
            reached = len(runs) + len(earlier)
            nowhere = torch.full((len(module.members.active),), torch.nan).double()
            saved = self.values.setdefault(str(number), nowhere)
            for run, survives in zip(runs, survivors(values[runs].tolist(), earlier), strict=True):
                members, value = stack.members(run), values[run].item()
                saved[members] = value
                if not survives:
                    shown = f"{module.monitor} {sign_of(module.monitor) * value:.4g}"
                    reason = (
                        f"pruned at {place}: {shown} is not among the best {places(reached)} of {reached}"
                    )
                    self.reasons |= dict.fromkeys(members, reason)
                    stack.stopping.stop(members, module)
        deadline = min((bracket.deadline for bracket in brackets if bracket), default=math.inf)
        self.time_is_over = epoch < epochs and time.time() > deadline
        stack.trainer.should_stop |= self.time_is_over

    def metrics(self, member: int, sign: int) -> dict[str, float | int]:
        """The monitored metric of a member's run at each rung that it has reached, as `rung/NUMBER`; if it
        was pruned, the number of the last one, as `rung`. `sign` is −1 if the highest metric is the best.
        """
        values = ((number, of_members[member].item()) for number, of_members in self.values.items())
        reached = {number: value for number, value in values if not math.isnan(value)}
        last = {"rung": max(map(int, reached))} if member in self.reasons and reached else {}
        return {f"rung/{number}": sign * value for number, value in reached.items()} | last


def rung_numbers(rungs: Sequence[Rung], epochs: int) -> dict[int, int]:
    """The number of a rung, from 1, by the epoch after which runs of so many epochs are compared.

    After the last epoch, they are not. Of several rungs at one epoch, the last counts.
    """
    numbers = {
        max(1, math.ceil(round(rung.share * epochs, 9))): number  # 0.07 of 100 epochs are 7
        for number, rung in enumerate(rungs, 1)
    }
    return {epoch: number for epoch, number in numbers.items() if epoch < epochs}


def places(runs: int) -> int:
    """How many of the runs that have reached a rung go on."""
    return max(1, runs // FACTOR)


def survivors(values: Sequence[float], earlier: Sequence[float]) -> list[bool]:
    """Which values, of which low ones are good, are among the best `places` of these and the earlier ones.

    Values that are equal to the last of these are, too.
    """
    both = sorted([*values, *earlier])
    return [value <= both[places(len(both)) - 1] for value in values]
