"""A run: a configuration, and the folder that it fills. Imports no torch."""

from dataclasses import dataclass
from pathlib import Path

from mlplab.config import TrainConfig
from mlplab.runs.folder import Stamp
from mlplab.training.rungs import Bracket


@dataclass(frozen=True)
class Run:
    """A configuration, and the folder for its run.

    Args:
        stamp: the stamp of the folder before its training state was read, if the run is resumed; None: a new
            run.
        bracket: the rungs at which the run is compared with others of its stack, and may be pruned.
    """

    config: TrainConfig
    folder: Path
    stamp: Stamp | None = None
    bracket: Bracket | None = None
