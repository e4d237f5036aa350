"""A run that is to be trained into a folder. Imports no torch."""

from collections.abc import Sequence
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
        overrides: what was typed, and of a sweep what varies, such as `optimizer.lr=0.01`; TensorBoard shows
            these keys, and those that it had shown if a run is resumed.
    """

    config: ResolvedConfig
    folder: Path
    bracket: Bracket | None = None
    resume: bool = False
    overrides: Sequence[str] = ()
