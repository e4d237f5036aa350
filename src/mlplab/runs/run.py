"""A run, from the plan of a sweep to its scores. Imports no torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlplab.config import TrainConfig

if TYPE_CHECKING:
    from mlplab.training.pruning import Bracket


@dataclass(eq=False)
class Run:
    """A configuration, and the folder for its run.

    Args:
        bracket: the rungs at which the run is compared with others of its stack, and may be pruned.
        resume: whether its folder is that of the same run, started before.
    """

    config: TrainConfig
    folder: Path
    bracket: "Bracket | None" = None
    resume: bool = False
