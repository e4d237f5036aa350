"""The values of each run, epoch by epoch."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from mlplab.config.metrics import sign_of
from mlplab.training.callbacks.stack_callback import StackCallback
from mlplab.training.run import Run

if TYPE_CHECKING:
    from mlplab.training.fit import StackTrainer

BEST = "_best"
"""What follows the monitored metric in the name of the curve of its best value so far."""

Curves = Mapping[str, Float32[np.ndarray, " epoch"]]
"""Values by name, such as `train/loss`, after each epoch in which a run has trained."""


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
