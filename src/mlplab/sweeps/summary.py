"""Summarizes a sweep: a table of its best configurations, and the runs that failed."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from mlplab.commands.render import format_mean, inside, script_command, tensorboard_command
from mlplab.commands.results import Results, group_runs
from mlplab.console import print_line
from mlplab.errors import RunFailed
from mlplab.runs.discovery import runs_below
from mlplab.runs.selection import RunResult, labelled, read_run, warn_of_ensembles, without_repeats

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
    if any(run.done for run in runs):
        found = group_runs(without_repeats(runs))
        console.print(_table(found))
        warn_of_ensembles(found.by)
    for line in (
        f"sweep folder: {inside(root)}",
        script_command("results.py", root),
        tensorboard_command(root),
    ):
        print_line(console, line)
    failed = [run for run in runs if not run.done]
    if failed or len(runs) < total:
        raise RunFailed(_failures(failed, root, total, total - len(runs)))


def _table(found: Results) -> RichTable:
    """The best configurations by the mean validation metric over their seeds and folds."""
    groups = [group for group in found.groups if group.runs]
    several = any(group.over for group in groups)
    title = f"best of {len(groups)} configurations" if len(groups) > 1 else "configuration"
    shown = [name for name in found.metrics if name not in ("test/mae", "test/auroc")]
    table = RichTable()
    table.add_column(title, overflow="fold")
    for name in (*(["over"] * several), *(f"{name} ± SD" if several else name for name in shown)):
        table.add_column(name)
    for group in groups[:BEST]:
        scores = (format_mean(group.scores[name], name, with_se=False) for name in shown)
        table.add_row(escape(labelled(found.by, group.key)) or "all runs", *([group.over] * several), *scores)
    return table


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
