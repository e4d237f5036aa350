"""A run, from the plan of a sweep to its scores. Imports no torch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mlplab.config import Mlp, ResolvedConfig
from mlplab.config.metrics import DEFAULT_THRESHOLD
from mlplab.data.cache import RunData
from mlplab.data.leaks.seen_rows import SeenRows
from mlplab.conformal.residuals import Residuals
from mlplab.conformal.uncertainty import Uncertainty
from mlplab.runs.folder import RunFolder
from mlplab.training.callbacks.rungs import Bracket

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger

SEEDS = 2**63
"""Number of seeds."""


@dataclass
class Run:
    """One configuration, trained once into one folder.

    Args:
        bracket: the rungs at which the run is compared with others of its stack, and may be pruned.
        resume: whether its folder is that of the same run, started before.
        overrides: what was typed, and of a sweep what varies, such as `optimizer.lr=0.01`; TensorBoard shows
            these keys, and those that it had shown if a run is resumed.

    Attributes:
        data, files, loggers: its table and split, the files of its folder, and its loggers; set by training.
        threshold: the probability from which it predicts the second of two classes; set after training.
        member_weights: of the networks that did not diverge, in the mean prediction; set after training if
            they are not equal.
        residuals: of the rows that were held out, for intervals and prediction sets; set after training.
        inherited: the rows in the training of `init_from`; None if they are unknown; set by training.
        alone: whether it is of no sweep; set by training.
        log: logs a line about the run; set by training, likewise `log_progress`.
    """

    config: ResolvedConfig
    folder: Path
    bracket: Bracket | None = None
    resume: bool = False
    overrides: Sequence[str] = ()
    data: RunData = field(init=False, repr=False, compare=False)
    files: RunFolder = field(init=False, repr=False, compare=False)
    loggers: "Sequence[Logger]" = field(init=False, repr=False, compare=False, default=())
    threshold: float = field(init=False, repr=False, compare=False, default=DEFAULT_THRESHOLD)
    member_weights: Sequence[float] = field(init=False, repr=False, compare=False, default=())
    residuals: Sequence[Residuals] = field(init=False, repr=False, compare=False, default=())
    inherited: list[SeenRows] | None = field(init=False, repr=False, compare=False, default_factory=list)
    alone: bool = field(init=False, repr=False, compare=False, default=True)
    log: Callable[[str], None] = field(init=False, repr=False, compare=False)
    log_progress: Callable[[str], None] = field(init=False, repr=False, compare=False)

    @property
    def uncertainty(self) -> Uncertainty:
        """The intervals or prediction sets around its predictions."""
        return Uncertainty(self.data.table.schema, [self.residuals], self.config.quantiles)

    def weights(self, members: int) -> list[float]:
        """The weight of each of its `members` networks in the mean prediction; their sum is 1."""
        return list(self.member_weights) or [1 / members] * members


def activations(run: ResolvedConfig) -> list[str]:
    """The activation of each network of a run; none if its model has no choice of them."""
    if not isinstance(run.model, Mlp):
        return []
    names = run.model.activations
    return [names[member * len(names) // run.ensemble] for member in range(run.ensemble)]


def member_configs(run: ResolvedConfig) -> list[ResolvedConfig]:
    """The networks of an ensemble, as configurations of single runs: each has a seed and an activation.

    Runs with different seeds and ensembles of one size have no member's seed in common.
    """
    members, names, configs = run.ensemble, activations(run), list[ResolvedConfig]()
    for member in range(members):
        seed = (run.seed * members + member) % SEEDS
        model = run.model.model_copy(update={"activation": names[member]}) if names else run.model
        configs.append(run.model_copy(update={"seed": seed, "model": model}))
    return configs
