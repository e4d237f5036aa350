"""Summarizes a sweep: a table of its best configurations, and the runs that failed."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl
from rich.console import Console
from rich.table import Table as RichTable

from mlplab.commands.report.comparison import Comparison, compared
from mlplab.commands.results import results_of_table, scores_of
from mlplab.commands.results_table import results_table
from mlplab.config.metrics import BASELINES
from mlplab.console import first_few, print_line
from mlplab.runs.compare.ranking import warn_of_ensembles
from mlplab.runs.compare.run_result import RunResult, read_run
from mlplab.runs.compare.same_table import metrics_of_runs, quantiles_of, table_title
from mlplab.runs.discovery import runs_below
from mlplab.training.outcome import AS_PLANNED
from mlplab.typed_commands import command_line, inside, tensorboard_command

BEST = 5
"""The largest number of configurations in the table."""


def results_of(root: Path, known: Sequence[RunResult] = ()) -> list[Comparison]:
    """The results of a sweep's runs, sorted by name: those that are known, and others in its folder."""
    results = {run.folder: run for run in known}
    results |= {folder: read_run(folder) for folder in runs_below(root) if folder not in results}
    return compared(root, [results[folder] for folder in sorted(results)])


def summarize(comparisons: Sequence[Comparison], console: Console, commands: Sequence[str] = ()) -> str:
    """Prints the best configurations of a sweep by the monitored metric, and the sweep's folder.

    Args:
        commands: lines about how to train the best configuration.

    Returns how many runs failed, and why the first few did; empty if none did.
    """
    for comparison in comparisons:
        if comparison.best:
            title = table_title(comparison.runs) if len(comparisons) > 1 else None
            console.print(best_configurations(comparison, console.width, title))
            warn_of_ensembles([*comparison.keys])
    root = comparisons[0].root
    more = *commands, command_line("results", root), tensorboard_command(root)
    print_line(console, f"sweep folder: {inside(root)}", *more)
    runs = {comparison.name(run): run.metrics for comparison in comparisons for run in comparison.runs}
    failed = {name: metrics for name, metrics in runs.items() if metrics["status"] not in AS_PLANNED}
    reasons = [f"  {name}: {each['status']}, {each.get('reason', '')}" for name, each in failed.items()]
    return "\n".join([f"{len(failed)} of {len(runs)} runs failed", *first_few(reasons)]) if failed else ""


def best_configurations(comparison: Comparison, width: int, title: str | None = None) -> RichTable:
    """The best configurations by the mean validation metric over their seeds and folds, and the baselines.

    There are no baselines if the runs' tables differ, or their ensembles: those leave other rows to them.
    Nor if they predict different quantiles, which the baselines predict, too.
    """
    runs, keys = comparison.runs, [*comparison.keys]
    results = results_of_table(runs, keys)
    frame = results.frame.filter(pl.col("runs") > 0).with_columns(pl.lit(None).alias("not done"))
    names = BASELINES[metrics_of_runs(runs)]
    scores = {name: scores_of(runs, results.metrics, f"{key}/") for key, name in names.items()}
    same_task = len({str(quantiles_of(run)) for run in runs}) == 1
    same_rows = {key for key in keys if key.startswith("data.") or key == "ensemble"} <= {"data.batch_size"}
    return results_table(
        replace(results, frame=frame.head(BEST)),
        width,
        title,
        label=f"best of {len(frame)} configurations" if len(frame) > 1 else "configuration",
        baselines=[
            {"label": name, **row}
            for name, row in scores.items()
            if same_rows and same_task and not math.isnan(row[results.metrics[1]])
        ],
    )
