"""The results of a search as a table that fits the terminal."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl
from rich.table import Table as RichTable

from mlplab.commands.render import format_score
from mlplab.commands.results import results_of_table
from mlplab.commands.results_table import TRIAL, results_table
from mlplab.console import plural
from mlplab.runs.selection import RUN, RunResult, varying_keys

MOST = 20
"""Trials that are shown, unless all are asked for."""


def search_table(
    trials: Sequence[RunResult], width: int, sort: str | None = None, most: int = MOST
) -> RichTable:
    """A row for each of the best finished trials of a search, with what fits in the width.

    Below it, all trials are counted. If only one has test scores, they stand there, too. If none has
    finished, the table shows the others.

    Args:
        sort: as in `results_of_table`: shows all finished trials, in this order.
    """
    results = results_of_table(trials, [RUN, *varying_keys(trials)], sort)
    done = results.frame.filter(pl.col("runs") > 0)
    done = results.frame if done.is_empty() else done
    shown = done if sort else done.head(most)
    names = pl.col(RUN).map_elements(lambda folder: Path(folder).name, pl.String).alias(TRIAL)
    monitor, *of_test = results.metrics
    tested = [run for run in trials if any(name in run.metrics for name in of_test)]
    metrics = results.metrics if len(tested) > 1 else (monitor,)
    lines = [counts_of(trials)]
    if len(shown) < len(done):
        lines.insert(0, f"the best {len(shown)} by {monitor}; all: --sort {monitor}")
    if len(tested) == 1:
        [run] = tested
        scores = [f"{name.removeprefix('test/')} {format_score(run.metric(name), name)}" for name in of_test]
        lines.append(f"test scores of {run.folder.name}: {', '.join(scores)}")
    table = replace(results, by=(TRIAL, *results.by[1:]), metrics=metrics, frame=shown.with_columns(names))
    return results_table(table, width, caption="\n".join(lines))


def counts_of(runs: Sequence[RunResult], noun: str = "trial") -> str:
    """The number of runs by status: `64 trials: 40 done, 24 pruned`."""
    counts = Counter(str(run.metrics["status"]) for run in runs)
    by_status = ", ".join(f"{count:,} {status}" for status, count in counts.most_common())
    return f"{plural(len(runs), noun)}: {by_status}"
