"""What came of a sweep: a table of its best runs, and those that did not end well."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.console import Console
from rich.markup import escape
from rich.table import Table as Grid

from mlplab.commands.render import inside, score_text, script_command, tensorboard_command
from mlplab.commands.results import Results, results
from mlplab.errors import RunFailed
from mlplab.runs.discovery import read_metrics, runs_below
from mlplab.runs.selection import labelled

DEPTH = 3
"""Folders within folders that are looked through: a run's may be named `a/b`."""

BEST = 5
"""Configurations in the table."""

NAMED = 3
"""Runs that did not end well, of which it is said why."""


def report(master: DictConfig, jobs: int) -> None:
    """Prints the best configurations of a sweep by their monitored metric, and where its runs lie.

    Args:
        master: the sweep's own composition.
        jobs: how many runs there should be.

    Raises:
        RunFailed: if runs did not end well, with the first of them.
    """
    root = Path(str(master.hydra.sweep.dir))
    found = runs_below(root, DEPTH) if root.is_dir() else ()
    runs = {str(folder.relative_to(root)): read_metrics(folder) for folder in found}
    if not runs:
        raise RunFailed(f"none of {jobs} runs left a folder; each has said why")
    console = Console()
    done = {name: metrics for name, metrics in runs.items() if metrics["status"] == "done"}
    if done:
        console.print(_grid(results([root])))
    for line in (
        f"sweep folder: {inside(root)}",
        script_command("results.py", root),
        tensorboard_command(root),
    ):
        console.print(line, soft_wrap=True, highlight=False, markup=False)
    failed = {name: metrics for name, metrics in runs.items() if name not in done}
    if failed or len(runs) < jobs:
        raise RunFailed(_told(failed, jobs, jobs - len(runs)))


def _grid(found: Results) -> Grid:
    """The best configurations, by the mean of the validation metric over their seeds and folds."""
    groups = [group for group in found.groups if group.runs]
    several = any(group.over for group in groups)
    title = f"best of {len(groups)} configurations" if len(groups) > 1 else "configuration"
    shown = (found.metrics[0], "test/rmse", "test/r2")
    grid = Grid(title, *(["over"] * several), *(f"{name} ± SD" if several else name for name in shown))
    for group in groups[:BEST]:
        scores = (score_text(group.scores[name], name, with_se=False) for name in shown)
        grid.add_row(escape(labelled(found.by, group.key)) or "all runs", *([group.over] * several), *scores)
    return grid


def _told(failed: Mapping[str, Mapping[str, Any]], jobs: int, absent: int) -> str:
    lines = [f"{len(failed) + absent} of {jobs} runs did not end well"]
    lines += [
        f"  {name}: {metrics['status']}, {metrics.get('reason', '')}"
        for name, metrics in list(failed.items())[:NAMED]
    ]
    if len(failed) > NAMED:
        lines.append(f"  … and {len(failed) - NAMED} more; each says why in its metrics.json")
    if absent:
        lines.append(f"  {absent} left no folder; each has said why")
    return "\n".join(lines)
