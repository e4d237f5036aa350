"""What a run has left: its configuration and its metrics."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlplab.config.dotted_keys import flat
from mlplab.files import Plain
from mlplab.runs.best_trial import TRIAL
from mlplab.runs.compare.labels import as_typed
from mlplab.runs.discovery import read_config, read_metrics

RUN = "run"
"""Stands for the folder of a run among the keys of its configuration."""


@dataclass(frozen=True)
class RunResult:
    """The configuration (by dotted keys) and the metrics of a run."""

    folder: Path
    config: Plain
    metrics: Plain

    @property
    def done(self) -> bool:
        """Whether the run has finished."""
        return bool(self.metrics["status"] == "done")

    def metric(self, name: str) -> float:
        """The value of a metric; NaN if there is none."""
        value = self.metrics.get(name)
        return float(value) if isinstance(value, int | float) else math.nan

    def values(self, keys: Iterable[str]) -> tuple[str, ...]:
        """The values of some keys as typed on the command line; of `run`, the folder."""
        return tuple(str(self.folder) if key == RUN else as_typed(self.config.get(key)) for key in keys)


def read_run(folder: Path) -> RunResult:
    """Reads the configuration and metrics of a run.

    Raises:
        UserError: if a file is damaged or of a different version.
    """
    return RunResult(folder, dict(flat(read_config(folder))), read_metrics(folder))


def trials_in_order(runs: Sequence[RunResult]) -> list[RunResult]:
    """The trials of one search, in the order in which it asked for them; empty if the runs are others."""
    names = {run.folder: TRIAL.fullmatch(run.folder.name) for run in runs}
    if None in names.values() or len({folder.parent for folder in names}) != 1:
        return []
    return sorted(runs, key=lambda run: (len(run.folder.name), run.folder.name))
