"""The results of many runs as a table that fits the terminal."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

from rich.cells import cell_len
from rich.table import Table as RichTable
from rich.text import Text

from mlplab.commands.render import format_mean
from mlplab.commands.results import PARTS, Results
from mlplab.runs.selection import RUN, in_brief, short_keys

TRIAL = "trial"
"""Stands for the names of a search's trials, as `RUN` does for those of runs."""

NAMES = (RUN, TRIAL)

KEY, FOLDER, WORDS, LABEL = 16, 40, 12, 24
"""Least widths of columns whose cells may be wrapped: values of a key, folders, words, values of all keys."""

NULLS = (None, "null", "")
"""Values of keys that are not set."""

NOTHING = "–"

Row = Mapping[str, Any]
"""A row of `Results.frame`; of a baseline, its `label` and its scores."""


class _Column(NamedTuple):
    """A column of a table.

    Attributes:
        least: the least width, if longer cells may be wrapped.
    """

    header: str
    cells: list[str]
    least: int | None = None

    @property
    def width(self) -> int:
        """Characters that the column needs."""
        longest = max(map(cell_len, (*self.header.split("\n"), *self.cells)))
        return longest if self.least is None else min(longest, self.least)


def results_table(
    results: Results,
    width: int,
    title: str | None = None,
    *,
    caption: str = "",
    label: str = "",
    baselines: Sequence[Row] = (),
) -> RichTable:
    """A row for each configuration, with what fits in the width.

    Keys have short names, and a column each or one for all. Those that are null or the same in all rows are
    left out, as are the last metrics.

    Args:
        caption: below the table, instead of what the scores are averaged over.
        label: the name of the column for all keys, if they are to have one.
        baselines: below the configurations, if there is a label.
    """
    rows = results.frame.to_dicts()
    overs = {row["over"] for row in rows}
    by = [name for name in results.by if _differs([row[name] for row in rows])]
    has_over = len(overs) > 1 or not by
    metrics = [name for name in results.metrics if any(row[name] is not None for row in rows)]
    layouts = [] if label else list(product([False], (4, 3, 2), (True, False)))
    for one_label, most, with_se in [*layouts, *product([True], (4, 3, 2), [False])]:
        columns = [
            *_names(rows, baselines, by, (label or "configuration") if one_label else None),
            *[_Column("over", [_over(row) for row in (*rows, *baselines)], WORDS)] * has_over,
            *(_scores([*rows, *baselines], metric, with_se=with_se) for metric in metrics[:most]),
        ]
        if any(row["not done"] for row in rows):
            columns.append(
                _Column("not done", [row.get("not done") or "" for row in (*rows, *baselines)], WORDS)
            )
        if 1 + sum(column.width + 3 for column in columns) <= width:
            break
    over = "" if has_over else overs.pop()
    caption = caption or (f"mean ± SD{' (SE)' * with_se} over {over}" if over else "")
    table = RichTable(title=title, caption=caption or None, title_justify="left", caption_justify="left")
    for column in columns:
        table.add_column(Text(column.header), overflow="fold", no_wrap=column.least is None)
    for number, cells in enumerate(zip(*(column.cells for column in columns), strict=True), 1):
        table.add_row(*map(Text, cells), end_section=bool(baselines) and number == len(rows))
    return table


def _differs(values: Sequence[str | None]) -> bool:
    """Whether the values of a key tell rows apart, or say something about the only one."""
    return not set(values) <= {*NULLS} and (len(set(values)) > 1 or len(values) == 1)


def _names(
    rows: Sequence[Row], baselines: Sequence[Row], by: Sequence[str], label: str | None
) -> list[_Column]:
    """The columns of the runs' names and of the keys' values; of all keys if there is a label."""
    columns = [_Column(name, [row[name] or "" for row in rows], FOLDER) for name in by if name in NAMES]
    keys = [key for key in by if key not in NAMES]
    short = dict(zip(keys, short_keys(keys), strict=True))
    if label is None:
        cells = {key: [NOTHING if row[key] in NULLS else in_brief(row[key]) for row in rows] for key in keys}
        return columns + [_Column(short[key], cells[key], KEY) for key in keys]
    labels = [
        ", ".join(f"{short[key]}={in_brief(row[key])}" for key in keys if row[key] not in NULLS) or "all runs"
        for row in rows
    ]
    return [*columns, _Column(label, [*labels, *(row["label"] for row in baselines)], LABEL)]


def _over(row: Row) -> str:
    return "" if "label" in row else row["over"] or ("1 run" if row["runs"] else NOTHING)


def _scores(rows: Sequence[Row], metric: str, *, with_se: bool) -> _Column:
    cells = [format_mean([row[metric + part] for part in PARTS], metric, with_se=with_se) for row in rows]
    has_sd = any("±" in cell for cell in cells)
    return _Column(f"{metric}\n± SD{' (SE)' * with_se}" if has_sd else metric, cells)
