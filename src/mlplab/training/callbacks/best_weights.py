"""What is kept of each epoch: the weights of each member's best one, and the curves of each run."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64, Int64
from torch import Tensor

from mlplab.config.metrics import sign_of
from mlplab.data.splits.split import Rows
from mlplab.training.block_module import BlockModule
from mlplab.training.callbacks.stack_callback import StackCallback, Tensors, copy_members
from mlplab.training.run import Run

if TYPE_CHECKING:
    from mlplab.training.fit import StackTrainer


class BestWeights(StackCallback):
    """Copies each member's weights in the (earliest) epoch with the best monitored metric.

    It is the member's own metric, but in an ensemble the mean of other members: more rows decide then, and
    none of those that the member itself holds out, so that its predictions for these are honest.

    Args:
        epoch_voters: for each member of each ensemble, the members of it whose metric decides; None: each
            member decides alone.

    Attributes:
        epochs: the best epoch of each member, counted from 1; 0 before its first.
        lowest: the metric that decides in that epoch, negated if the highest is the best.
        not_diverged: the members that had not diverged when `lowest` was compared last.
        network, values: the network's tensors and the module's values in that epoch.
    """

    def __init__(self, members: int, epoch_voters: Bool[Tensor, "run one other"] | None = None) -> None:
        self.epoch_voters = epoch_voters
        self.epochs: Int64[Tensor, " member"] = torch.zeros(members, dtype=torch.int64)
        self.lowest: Float64[Tensor, " member"] = torch.full((members,), torch.inf, dtype=torch.float64)
        self.not_diverged: Bool[Tensor, " member"] = torch.ones(members, dtype=torch.bool)
        self.network: Tensors = {}
        self.values: Tensors = {}

    def on_epoch(self, stack: "StackTrainer") -> None:
        """Copies the weights and values of the members that have improved."""
        module = stack.module
        deciding = self._deciding(module)
        better = module.members.active & ((self.epochs == 0) | (deciding < self.lowest))
        if better.any() or not self.network:
            self.epochs[better] = module.progress.epoch
            self.lowest = torch.where(better, deciding, self.lowest)
            copy_members(self.network, module.network.state_dict(), better)
            copy_members(self.values, module.values, better)

    def by_run(self, module: BlockModule) -> Float64[Tensor, " run"]:
        """The mean `lowest` of each run's members that have not diverged; NaN if all have."""
        return module.members.by_run(self.lowest, module.members.not_diverged())

    def _deciding(self, module: BlockModule) -> Float64[Tensor, " member"]:
        monitored = module.monitored
        if self.epoch_voters is None:
            return monitored
        not_diverged = module.members.not_diverged()
        lost = (self.not_diverged & ~not_diverged).view(-1, 1, module.members.ensemble)
        # Where a voter was lost, it was a mean of other members.
        self.lowest[(self.epoch_voters & lost).any(2).flatten()] = torch.inf
        self.not_diverged = not_diverged
        voters = self.epoch_voters & not_diverged.view(-1, 1, module.members.ensemble)
        means = torch.where(voters, monitored.view(-1, 1, module.members.ensemble), 0).sum(2) / voters.sum(2)
        return torch.where(voters.any(2).flatten(), means.flatten(), monitored)


def epoch_voters(held_out: Sequence[Rows], ensemble: int) -> Bool[Tensor, "run one other"] | None:
    """For each member of an ensemble, those that hold out none of its rows; None without ensembles."""
    if ensemble == 1:
        return None
    disjoint = torch.zeros(len(held_out) // ensemble, ensemble, ensemble, dtype=torch.bool)
    for run, voters in enumerate(disjoint):
        rows = held_out[run * ensemble : (run + 1) * ensemble]
        for one, other in combinations(range(ensemble), 2):
            if not np.intersect1d(rows[one], rows[other], assume_unique=True).size:
                voters[one, other] = voters[other, one] = True
    return disjoint


# What follows the monitored metric in the name of the curve of its best value so far.
BEST = "_best"

# Values by name, such as `train/loss`, after each epoch in which a run has trained.
Curves = Mapping[str, Float32[np.ndarray, " epoch"]]


class History(StackCallback):
    """Keeps each run's values, and the best monitored one so far, after each epoch.

    An ensemble's values are means over its active members; its best values, over all that have not diverged.

    Args:
        earlier: the curves of runs that were part of a larger stack.

    Attributes:
        names: of the curves.
        values: of the last epoch, of runs that were active in it.
        active: which runs were.
    """

    def __init__(self, runs: Sequence[Run], earlier: Mapping[Run, Curves]) -> None:
        self.runs, self._earlier = list(runs), earlier
        self.names: tuple[str, ...] = ()
        self.values: Float[Tensor, "curve run"] = torch.empty(0, len(runs))
        self.active = torch.ones(len(runs), dtype=torch.bool)
        self._kept: list[Float32[np.ndarray, "curve run"]] = []
        self._lengths = np.zeros(len(runs), np.int64)

    def on_epoch(self, stack: "StackTrainer") -> None:
        """Adds a point of every curve of the active runs."""
        module = stack.module
        self.names = *module.values, module.monitor + BEST
        values = module.members.by_run(torch.stack([*module.values.values()]))
        best = sign_of(module.monitor) * stack.best.by_run(module)
        self.values, self.active = torch.cat([values, best[None]]), module.members.active_runs()
        self._kept.append(self.values.float().numpy())
        self._lengths += self.active.numpy()

    def curves(self, run: Run) -> Curves:
        """The curves of a run, since it was resumed."""
        place, earlier = self.runs.index(run), self._earlier.get(run, {})
        kept = [values[:, place] for values in self._kept[: self._lengths[place]]]
        if not kept:
            return earlier
        new = dict(zip(self.names, np.array(kept).T, strict=True))
        return {name: np.concatenate([earlier.get(name, values[:0]), values]) for name, values in new.items()}
