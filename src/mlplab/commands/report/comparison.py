"""Runs that predict the same target of the same table, and their best configuration."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mlplab.commands.results import Results, group_runs
from mlplab.config.metrics import sign_of
from mlplab.runs.selection import (
    RunResult,
    common_monitor,
    in_brief,
    short_keys,
    trials_in_order,
    varying_keys,
    without_repeats,
)
from mlplab.runs.tables import by_table, table_title


@dataclass(frozen=True)
class Comparison:
    """Runs on the same table, with the same target and task.

    Attributes:
        root: the folder that contains them; names of runs are relative to it.
        runs: the runs, each configuration and seed once; of a search all trials, in order.
        repeats: the number of runs that were left out because they repeat others.
        is_search: whether the runs are the trials of a search.
    """

    root: Path
    runs: tuple[RunResult, ...]
    repeats: int
    is_search: bool = False

    @cached_property
    def monitor(self) -> str:
        """The validation metric that chooses."""
        return common_monitor(self.runs)

    @cached_property
    def keys(self) -> dict[str, str]:
        """The keys that vary, except seeds and folds, and short names: `lr`, and `optimizer` for its name."""
        keys = varying_keys(self.runs)
        return dict(zip(keys, short_keys(keys), strict=True))

    @cached_property
    def results(self) -> Results:
        """The runs by configuration, best first."""
        return group_runs(self.runs, list(self.keys))

    @cached_property
    def ranked(self) -> list[RunResult]:
        """The runs, best first by the validation metric; unfinished ones last."""
        sign = sign_of(self.monitor)

        def rank(run: RunResult) -> tuple[bool, bool, float]:
            score = sign * run.metric(self.monitor)
            return not run.done, math.isnan(score), score

        return sorted(self.runs, key=rank)

    @cached_property
    def best(self) -> list[RunResult]:
        """The finished runs of the best configuration, best first; empty if no run has finished."""
        chosen = next((group.key for group in self.results.groups if group.runs), None)
        return [run for run in self.ranked if run.done and self.configuration(run) == chosen]

    def configuration(self, run: RunResult) -> tuple[str, ...]:
        """A run's values of the keys that vary."""
        return run.values(self.keys)

    def name(self, run: RunResult) -> str:
        """A run's folder, relative to the root."""
        return run.folder.relative_to(self.root).as_posix() if run.folder != self.root else run.folder.name

    def labelled(self, values: Iterable[str]) -> str:
        """A configuration in brief, with short keys: `lr=0.01, hidden=[8]`."""
        named = zip(self.keys.values(), map(in_brief, values), strict=True)
        return ", ".join(f"{key}={value}" for key, value in named)

    @property
    def title(self) -> str:
        """The table, and what is predicted."""
        return table_title(self.runs)


def compared(root: Path, runs: Sequence[RunResult]) -> list[Comparison]:
    """Runs by table, target and task, in order of appearance."""
    return [_comparison(root, group) for group in by_table(runs)]


def _comparison(root: Path, runs: Sequence[RunResult]) -> Comparison:
    if trials := trials_in_order(runs):
        return Comparison(root, tuple(trials), 0, is_search=True)
    kept = without_repeats(runs)
    return Comparison(root, tuple(kept), len(runs) - len(kept))
