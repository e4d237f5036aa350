"""Scores as people read them."""

import csv
import io
import math
import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from rich.table import Table as Grid
from rich.text import Text

from mlplab.data.spreadsheet import harmless
from mlplab.runs.results import METRICS, Group, Results

SCORES = {"rmse": ".4g", "mae": ".4g", "r2": ".4f"}
"""The test scores that are shown, and how."""


UV_RUN = ["uv", "run"]


def inside(folder: Path) -> Path:
    """A folder's path from here, if it lies below."""
    here = Path.cwd()
    return folder.resolve().relative_to(here) if folder.resolve().is_relative_to(here) else folder


def script_command(name: str, folder: Path) -> str:
    """What runs another script on a folder, as it can be typed where this one was."""
    runner = UV_RUN if _by_uv() else [sys.orig_argv[0]]
    return shlex.join([*runner, str(inside(Path(sys.argv[0]).with_name(name))), str(inside(folder))])


def tensorboard_command(folder: Path) -> str:
    """What shows the curves in a folder, likewise."""
    if _by_uv():
        program = [*UV_RUN, "tensorboard"]
    elif shutil.which("tensorboard"):
        program = ["tensorboard"]
    else:  # of an environment that is not activated
        program = [sys.orig_argv[0], "-m", "tensorboard.main"]
    return shlex.join([*program, "--logdir", str(inside(folder))])


def _by_uv() -> bool:
    return "UV_RUN_RECURSION_DEPTH" in os.environ


def score_grid(rows: Mapping[str, Mapping[str, float | None]]) -> Grid:
    """A line for each title, with its test scores; a dash where there is no finite value."""
    grid = Grid("test", *SCORES)
    for title, scores in rows.items():
        values = ((scores[name], form) for name, form in SCORES.items())
        grid.add_row(
            title,
            *("–" if value is None or value != value else format(value, form) for value, form in values),
        )
    return grid


def results_grid(found: Results) -> Grid:
    """A line for each group of runs, scores as mean ± SD (SE)."""
    grid = Grid()
    for name in _header(found):
        grid.add_column(Text(name), overflow="fold")
    for line in _lines(found):
        grid.add_row(*map(Text, line))
    return grid


def results_markdown(found: Results) -> str:
    """As `results_grid`."""
    table = [_header(found), ["---"] * len(_header(found)), *_lines(found)]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in table)


def results_csv(found: Results) -> str:
    """With columns of their own for mean, SD and SE, in full precision."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    parts = ("", " SD", " SE")
    scored = (f"{name}{part}" for name in METRICS for part in parts)
    writer.writerow([*map(harmless, found.by), "runs", *scored, "not done"])
    for group in found.groups:
        scores = [value for name in METRICS for value in group.scores[name]]
        shown = ["" if math.isnan(value) else repr(value) for value in scores]
        writer.writerow([*map(harmless, group.key), group.runs, *shown, _others(group)])
    return file.getvalue()


def _header(found: Results) -> list[str]:
    several = any(group.runs > 1 for group in found.groups)
    scores = [f"{name} ± SD (SE)" if several else name for name in METRICS]
    unfinished = ["not done"] if any(group.others for group in found.groups) else []
    return [*found.by, "runs", *scores, *unfinished]


def _lines(found: Results) -> list[list[str]]:
    unfinished = any(group.others for group in found.groups)
    return [
        [
            *group.key,
            str(group.runs),
            *(_told(group, name) for name in METRICS),
            *([_others(group)] if unfinished else []),
        ]
        for group in found.groups
    ]


def _told(group: Group, name: str) -> str:
    mean, sd, se = group.scores[name]
    form = SCORES[name.partition("/")[2]]
    if math.isnan(mean):
        return "–"
    return format(mean, form) + ("" if math.isnan(sd) else f" ± {sd:.2g} ({se:.2g})")


def _others(group: Group) -> str:
    return ", ".join(f"{count} {status}" for status, count in group.others.items())
