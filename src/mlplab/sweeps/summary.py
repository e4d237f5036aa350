"""Summarizes a sweep: a table of its best configurations, and the runs that failed."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl
from rich.console import Console
from rich.table import Table as RichTable

from mlplab.commands.render import inside, script_command, tensorboard_command
from mlplab.commands.results import results_of_table, scores_of
from mlplab.commands.results_table import results_table
from mlplab.config.metrics import BASELINES, CLASSIFICATION, REGRESSION
from mlplab.console import print_line
from mlplab.errors import RunFailed
from mlplab.runs.discovery import runs_below
from mlplab.runs.folder import AS_PLANNED
from mlplab.runs.selection import RunResult, read_run, varying_keys, warn_of_ensembles, without_repeats
from mlplab.runs.tables import by_table, is_classification, table_title

BEST = 5
"""The largest number of configurations in the table."""

SHOWN = 3
"""The number of failed runs whose reason is shown."""


def results_of(root: Path, known: Mapping[Path, RunResult]) -> list[RunResult]:
    """The results of a sweep's runs.

    Args:
        known: results by folder; all others are read from files.
    """
    folders = list(runs_below(root)) if root.is_dir() else []
    return [known.get(folder) or read_run(folder) for folder in folders]


def summarize(root: Path, total: int, runs: Sequence[RunResult]) -> None:
    """Prints the best configurations of a sweep by the monitored metric, and the sweep's folder.

    Args:
        root: the sweep's folder.
        total: the expected number of runs.
        runs: the results of the runs that left a folder.

    Raises:
        RunFailed: if runs failed, with the first few of them.
    """
    if not runs:
        raise RunFailed(f"none of {total} runs left a folder; see the messages above")
    console = Console()
    tables = by_table(without_repeats(runs))
    for table in tables:
        if any(run.done for run in table):
            title = table_title(table) if len(tables) > 1 else None
            console.print(best_configurations(table, console.width, title))
            warn_of_ensembles(varying_keys(table))
    for line in (
        f"sweep folder: {inside(root)}",
        script_command("results.py", root),
        tensorboard_command(root),
    ):
        print_line(console, line)
    failed = [run for run in runs if run.metrics["status"] not in AS_PLANNED]
    if failed or len(runs) < total:
        raise RunFailed(_failures(failed, root, total, total - len(runs)))


def best_configurations(runs: Sequence[RunResult], width: int, title: str | None = None) -> RichTable:
    """The best configurations by the mean validation metric over their seeds and folds, and the baselines.

    There are no baselines if the runs' tables differ, or their ensembles: those leave other rows to them.
    """
    keys = varying_keys(runs)
    results = results_of_table(runs, keys)
    frame = results.frame.filter(pl.col("runs") > 0).with_columns(pl.lit(None).alias("not done"))
    names = BASELINES[CLASSIFICATION if is_classification(runs) else REGRESSION]
    scores = {name: scores_of(runs, results.metrics, f"{key}/") for key, name in names.items()}
    same_rows = {key for key in keys if key.startswith("data.") or key == "ensemble"} <= {"data.batch_size"}
    return results_table(
        replace(results, frame=frame.head(BEST)),
        width,
        title,
        label=f"best of {len(frame)} configurations" if len(frame) > 1 else "configuration",
        baselines=[
            {"label": name, **row}
            for name, row in scores.items()
            if same_rows and not math.isnan(row[results.metrics[1]])
        ],
    )


def _failures(failed: Sequence[RunResult], root: Path, total: int, absent: int) -> str:
    lines = [f"{len(failed) + absent} of {total} runs failed"]
    lines += [
        f"  {run.folder.relative_to(root)}: {run.metrics['status']}, {run.metrics.get('reason', '')}"
        for run in failed[:SHOWN]
    ]
    if len(failed) > SHOWN:
        lines.append(f"  … and {len(failed) - SHOWN} more; see their metrics.json")
    if absent:
        lines.append(f"  {absent} left no folder; see the messages above")
    return "\n".join(lines)
