"""The results of many runs in full: as Markdown, CSV, or a table of any width."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import astuple

from rich.table import Table as RichTable
from rich.text import Text

from mlplab.commands.render import format_mean
from mlplab.commands.results import Results, Score
from mlplab.commands.results_table import unfinished
from mlplab.data.io.csv_writer import escape_formula
from mlplab.markdown import markdown_table

NONE = Score(math.nan, math.nan, math.nan)


def wide_table(found: Results, title: str | None = None) -> RichTable:
    """A row for each group of runs, with scores as mean ± SD (SE)."""
    table = RichTable(title=title, title_justify="left")
    for name in _header(found):
        table.add_column(Text(name), overflow="fold")
    for line in _lines(found):
        table.add_row(*map(Text, line))
    return table


def results_markdown(found: Results) -> str:
    """Formats results as a Markdown table."""
    return markdown_table(_header(found), _lines(found))


def results_csv(found: Sequence[tuple[str, Results]]) -> str:
    """CSV with separate columns for mean, SD and SE, in full precision.

    Args:
        found: the title and the results of each table; if there are several, the titles are a column.
    """
    by = tuple(dict.fromkeys(key for _, each in found for key in each.by))
    metrics = tuple(dict.fromkeys(name for _, each in found for name in each.metrics))
    titled = ["table"] * (len(found) > 1)
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    scored = (f"{name}{part}" for name in metrics for part in ("", " SD", " SE"))
    writer.writerow([*titled, *map(escape_formula, by), "runs", "over", *scored, "not done"])
    for title, of_table in found:
        for group in of_table.groups:
            values = dict(zip(of_table.by, group.key, strict=True))
            scores = [each for name in metrics for each in astuple(group.scores.get(name, NONE))]
            shown = ["" if math.isnan(value) else repr(value) for value in scores]
            keys = [title] * len(titled) + [values.get(key, "") for key in by]
            writer.writerow([*map(escape_formula, keys), group.runs, group.over, *shown, unfinished(group)])
    return file.getvalue()


def _header(found: Results) -> list[str]:
    several, has_unfinished = _columns(found)
    scores = [f"{name} ± SD (SE)" if several else name for name in found.metrics]
    return [*found.by, "runs", *(["over"] * several), *scores, *(["not done"] * has_unfinished)]


def _lines(found: Results) -> list[list[str]]:
    several, has_unfinished = _columns(found)
    return [
        [
            *group.key,
            str(group.runs),
            *([group.over] * several),
            *(format_mean(group.scores[name], name) for name in found.metrics),
            *([unfinished(group)] * has_unfinished),
        ]
        for group in found.groups
    ]


def _columns(found: Results) -> tuple[bool, bool]:
    """Whether there are groups of several runs, and whether there are unfinished runs."""
    return any(group.runs > 1 for group in found.groups), any(group.unfinished for group in found.groups)
