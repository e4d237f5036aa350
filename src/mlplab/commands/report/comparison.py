"""Runs that predict the same target of the same table, and their best configuration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlplab.commands.results import compared_metrics
from mlplab.runs.compare.ranking import configurations, ranked, varying_keys, without_repeats
from mlplab.runs.compare.run_result import RunResult, by_table, short_keys, trials_in_order


@dataclass(frozen=True)
class Comparison:
    """Runs on the same table, with the same target and task.

    Attributes:
        root: the folder that contains them; names of runs are relative to it.
        is_search: whether they are the trials of a search.
        runs: each configuration and seed once; of a search all trials, in order.
        repeats: the number of runs that were left out because they repeat others.
        metrics: the validation metric that chooses, and the test metrics.
        keys: those that vary, except seeds and folds, with short names: `lr`, and `optimizer` for its name.
        ranked: the runs, best first by the validation metric; unfinished ones last.
        best: the finished runs of the best configuration, best first; empty if no run has finished.
    """

    root: Path
    is_search: bool
    runs: Sequence[RunResult]
    repeats: int
    metrics: Sequence[str]
    keys: Mapping[str, str]
    ranked: Sequence[RunResult]
    best: Sequence[RunResult]

    @property
    def noun(self) -> str:
        """What a run is called."""
        return "trial" if self.is_search else "run"

    @property
    def monitor(self) -> str:
        """The validation metric that chooses."""
        return self.metrics[0]

    def name(self, run: RunResult) -> str:
        """A run's folder, relative to the root."""
        return run.folder.relative_to(self.root).as_posix() if run.folder != self.root else run.folder.name


def compared(root: Path, runs: Sequence[RunResult]) -> list[Comparison]:
    """The comparisons of runs, one for each table, target and task."""
    return [_comparison(root, table) for table in by_table(runs)]


def _comparison(root: Path, runs: Sequence[RunResult]) -> Comparison:
    trials = trials_in_order(runs)
    shown = trials or without_repeats(runs)
    metrics, keys = compared_metrics(shown), varying_keys(shown)
    groups = configurations(shown, keys, metrics[0]).values()
    finished = ([run for run in group if run.done] for group in groups)
    return Comparison(
        root=root,
        is_search=bool(trials),
        runs=shown,
        repeats=len(runs) - len(shown),
        metrics=metrics,
        keys=dict(zip(keys, short_keys(keys), strict=True)),
        ranked=ranked(shown, metrics[0]),
        best=next(filter(None, finished), []),
    )
