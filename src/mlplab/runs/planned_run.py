"""A run that is to be trained into a folder. Imports no torch."""

from dataclasses import dataclass
from pathlib import Path

from mlplab.config import ResolvedConfig
from mlplab.training.callbacks.rungs import Bracket


@dataclass(frozen=True)
class PlannedRun:
    """One configuration, to be trained once into one folder.

    Args:
        bracket: the rungs at which the run is compared with others of its stack, and may be pruned.
        resume: whether its folder is that of the same run, started before.
    """

    config: ResolvedConfig
    folder: Path
    bracket: Bracket | None = None
    resume: bool = False
