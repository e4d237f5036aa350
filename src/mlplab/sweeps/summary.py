"""Summarizes a sweep: a table of its best configurations, and the runs that failed."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table as RichTable

from mlplab.commands.render import inside, script_command, tensorboard_command
from mlplab.commands.results import Results, baseline_scores, group_runs
from mlplab.commands.results_table import Baselines, summary_table
from mlplab.config.metrics import BASELINES, CLASSIFICATION, REGRESSION
from mlplab.console import print_line
from mlplab.errors import RunFailed
from mlplab.runs.discovery import runs_below
from mlplab.runs.folder import AS_PLANNED
from mlplab.runs.selection import RunResult, read_run, warn_of_ensembles, without_repeats
from mlplab.runs.tables import by_table, of_classes, table_title

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
            results = group_runs(table)
            names = BASELINES[CLASSIFICATION if of_classes(table) else REGRESSION]
            baselines = baseline_scores(table, results, names)
            named = {names[name]: scores for name, scores in baselines.items()}
            console.print(
                _table(results, console.width, named, table_title(table) if len(tables) > 1 else None)
            )
            warn_of_ensembles(results.by)
    for line in (
        f"sweep folder: {inside(root)}",
        script_command("results.py", root),
        tensorboard_command(root),
    ):
        print_line(console, line)
    failed = [run for run in runs if run.metrics["status"] not in AS_PLANNED]
    if failed or len(runs) < total:
        raise RunFailed(_failures(failed, root, total, total - len(runs)))


def _table(results: Results, width: int, baselines: Baselines, title: str | None) -> RichTable:
    """The best configurations by the mean validation metric over their seeds and folds, and the baselines."""
    groups = [replace(group, unfinished={}) for group in results.groups if group.runs]
    header = f"best of {len(groups)} configurations" if len(groups) > 1 else "configuration"
    return summary_table(replace(results, groups=tuple(groups[:BEST])), width, header, baselines, title)


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
