"""Scores as people read them."""

import csv
import io
import math
import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import astuple
from pathlib import Path

from rich.table import Table as Grid
from rich.text import Text

from mlplab.commands.results import Group, Results, Score
from mlplab.data.io.csv_writer import escape_formula

SCORES = {"rmse": ".4g", "mae": ".4g", "r2": ".4f"}
"""The test scores that are shown, and how."""

BASELINES = {"ridge": "ridge regression", "mean": "mean"}
"""What they are called."""


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


def score_grid(rows: Mapping[str, Mapping[str, float | None]], title: str = "test") -> Grid:
    """A line for each name, with its scores; a dash where there is no finite value."""
    grid = Grid(title, *SCORES)
    for name, scores in rows.items():
        grid.add_row(name, *(formatted(scores[score], score) for score in SCORES))
    return grid


def formatted(value: float | None, metric: str) -> str:
    """A metric as it is shown."""
    return "–" if value is None or math.isnan(value) else format(value, SCORES.get(_short(metric), ".4g"))


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
    scored = (f"{name}{part}" for name in found.metrics for part in ("", " SD", " SE"))
    writer.writerow([*map(escape_formula, found.by), "runs", "over", *scored, "not done"])
    for group in found.groups:
        scores = [value for name in found.metrics for value in astuple(group.scores[name])]
        shown = ["" if math.isnan(value) else repr(value) for value in scores]
        writer.writerow([*map(escape_formula, group.key), group.runs, group.over, *shown, _others(group)])
    return file.getvalue()


def score_text(score: Score, metric: str, *, with_se: bool = True) -> str:
    """A mean, with its standard deviation and standard error where there are any."""
    if math.isnan(score.mean) or math.isnan(score.sd):
        return formatted(score.mean, metric)
    return f"{formatted(score.mean, metric)} ± {score.sd:.2g}" + (f" ({score.se:.2g})" if with_se else "")


def _header(found: Results) -> list[str]:
    several, unfinished = _parts(found)
    scores = [f"{name} ± SD (SE)" if several else name for name in found.metrics]
    return [*found.by, "runs", *(["over"] * several), *scores, *(["not done"] * unfinished)]


def _lines(found: Results) -> list[list[str]]:
    several, unfinished = _parts(found)
    return [
        [
            *group.key,
            str(group.runs),
            *([group.over] * several),
            *(score_text(group.scores[name], name) for name in found.metrics),
            *([_others(group)] * unfinished),
        ]
        for group in found.groups
    ]


def _parts(found: Results) -> tuple[bool, bool]:
    """Whether there are groups of several runs, and unfinished runs."""
    return any(group.runs > 1 for group in found.groups), any(group.others for group in found.groups)


def _others(group: Group) -> str:
    return ", ".join(f"{count} {status}" for status, count in group.others.items())


def _short(metric: str) -> str:
    """A metric's name without the part before it."""
    return metric.rpartition("/")[2]
