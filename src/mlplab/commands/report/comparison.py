"""Runs that predict the same target of the same table, and their best configuration."""

from collections.abc import Sequence
from pathlib import Path

from mlplab.commands.results import compared_metrics
from mlplab.runs.compare.ranking import configurations, ranked, varying_keys, without_repeats
from mlplab.runs.compare.run_result import RunResult, by_table, short_keys, trials_in_order


class Comparison:
    """Runs on the same table, with the same target and task.

    Args:
        root: the folder that contains them; names of runs are relative to it.

    Attributes:
        is_search: whether they are the trials of a search.
        runs: each configuration and seed once; of a search all trials, in order.
        repeats: the number of runs that were left out because they repeat others.
        noun: what a run is called.
        metrics: the validation metric that chooses, and the test metrics.
        keys: those that vary, except seeds and folds, with short names: `lr`, and `optimizer` for its name.
        ranked: the runs, best first by the validation metric; unfinished ones last.
        best: the finished runs of the best configuration, best first; empty if no run has finished.
    """

    def __init__(self, root: Path, runs: Sequence[RunResult]) -> None:
        trials = trials_in_order(runs)
        self.root, self.runs, self.is_search = root, trials or without_repeats(runs), bool(trials)
        self.repeats, self.noun = len(runs) - len(self.runs), "trial" if trials else "run"
        self.metrics, keys = compared_metrics(self.runs), varying_keys(self.runs)
        self.monitor, self.keys = self.metrics[0], dict(zip(keys, short_keys(keys), strict=True))
        self.ranked = ranked(self.runs, self.monitor)
        groups = configurations(self.runs, keys, self.monitor).values()
        self.best = next(filter(None, ([run for run in group if run.done] for group in groups)), [])

    def name(self, run: RunResult) -> str:
        """A run's folder, relative to the root."""
        return run.folder.relative_to(self.root).as_posix() if run.folder != self.root else run.folder.name


def compared(root: Path, runs: Sequence[RunResult]) -> list[Comparison]:
    """The comparisons of runs, one for each table, target and task."""
    return [Comparison(root, table) for table in by_table(runs)]
