"""Runs that predict the same target of the same table, and their best configuration."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mlplab.commands.results import compared_metrics
from mlplab.runs.compare.labels import short_keys
from mlplab.runs.compare.ranking import configurations, ranked
from mlplab.runs.compare.run_result import RunResult, trials_in_order
from mlplab.runs.compare.same_table import by_table
from mlplab.runs.compare.varying_keys import varying_keys, without_repeats


@dataclass(frozen=True)
class Comparison:
    """Runs on the same table, with the same target and task.

    Attributes:
        root: the folder that contains them; names of runs are relative to it.
        runs: the runs, each configuration and seed once; of a search all trials, in order.
        repeats: the number of runs that were left out because they repeat others.
    """

    root: Path
    runs: Sequence[RunResult]
    repeats: int
    is_search: bool

    @cached_property
    def metrics(self) -> tuple[str, ...]:
        """The validation metric that chooses, and the test metrics."""
        return compared_metrics(self.runs)

    @property
    def monitor(self) -> str:
        """The validation metric that chooses."""
        return self.metrics[0]

    @cached_property
    def keys(self) -> dict[str, str]:
        """The keys that vary, except seeds and folds, and short names: `lr`, and `optimizer` for its name."""
        keys = varying_keys(self.runs)
        return dict(zip(keys, short_keys(keys), strict=True))

    @cached_property
    def ranked(self) -> list[RunResult]:
        """The runs, best first by the validation metric; unfinished ones last."""
        return ranked(self.runs, self.monitor)

    @cached_property
    def best(self) -> list[RunResult]:
        """The finished runs of the best configuration, best first; empty if no run has finished."""
        groups = configurations(self.runs, list(self.keys), self.monitor).values()
        return next(filter(None, ([run for run in runs if run.done] for runs in groups)), [])

    @property
    def noun(self) -> str:
        """What a run is called: `trial` in a search."""
        return "trial" if self.is_search else "run"

    def name(self, run: RunResult) -> str:
        """A run's folder, relative to the root."""
        return run.folder.relative_to(self.root).as_posix() if run.folder != self.root else run.folder.name


def compared(root: Path, runs: Sequence[RunResult]) -> list[Comparison]:
    """The comparisons of runs, one for each table, target and task."""
    comparisons = []
    for table in by_table(runs):
        trials = trials_in_order(table)
        unique = trials or without_repeats(table)
        comparisons.append(Comparison(root, unique, len(table) - len(unique), bool(trials)))
    return comparisons
