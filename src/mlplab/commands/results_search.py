"""The results of a search as a table that fits the terminal."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.table import Table as RichTable

from mlplab.commands.render import format_score
from mlplab.commands.results import RUN, group_runs
from mlplab.commands.results_table import TRIAL, results_table
from mlplab.runs.selection import RunResult, varying_keys

MOST = 20
"""Trials that are shown, unless all are asked for."""


def search_table(
    trials: Sequence[RunResult], width: int, sort: str | None = None, most: int = MOST
) -> RichTable:
    """A row for each of the best finished trials of a search, with what fits in the width.

    Below it, all trials are counted. If only one has test scores, they stand there, too. If none has
    finished, the table shows the others.

    Args:
        sort: as in `group_runs`: shows all finished trials, in this order.
    """
    found = group_runs(trials, [RUN, *varying_keys(trials)], sort)
    done = [group for group in found.groups if group.runs] or found.groups
    shown = [replace(group, key=(Path(group.key[0]).name, *group.key[1:])) for group in done]
    shown = shown if sort else shown[:most]
    monitor, *of_test = found.metrics
    tested = [run for run in trials if any(name in run.metrics for name in of_test)]
    metrics = found.metrics if len(tested) > 1 else (monitor,)
    lines = [counts_of(trials)]
    if len(shown) < len(done):
        lines.insert(0, f"the best {len(shown)} by {monitor}; all: --sort {monitor}")
    if len(tested) == 1:
        [run] = tested
        scores = [f"{name.removeprefix('test/')} {format_score(run.metric(name), name)}" for name in of_test]
        lines.append(f"test scores of {run.folder.name}: {', '.join(scores)}")
    by = (TRIAL, *found.by[1:])
    table = replace(found, by=by, metrics=metrics, groups=tuple(shown))
    return results_table(table, width, caption="\n".join(lines))


def counts_of(trials: Sequence[RunResult]) -> str:
    """The number of trials by status: `64 trials: 40 done, 24 pruned`."""
    counts = Counter(str(run.metrics["status"]) for run in trials)
    by_status = ", ".join(f"{count:,} {status}" for status, count in counts.most_common())
    return f"{len(trials):,} trial{'s' * (len(trials) != 1)}: {by_status}"
