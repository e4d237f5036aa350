"""The verb describe: what the columns of a table are taken for, before any training."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from rich.table import Table as Grid
from rich.text import Text

from mlplab.config import DescribeConfig
from mlplab.data.cells import words
from mlplab.data.reading.findings import Finding, faults_of, findings
from mlplab.data.reading.reading import read
from mlplab.data.sources.source import Source
from mlplab.data.stored import SHARE_OF_FREE_MEMORY, free_memory
from mlplab.errors import Fault, shortened
from mlplab.runs.progress import row_progress
from mlplab.runs.tables import opened_source, spec_of

COUNTED = 1_000_000
"""Rows up to which distinct values are counted; of more they are estimated, in little memory."""

TOGETHER = 100
"""Columns that are looked at in one go: what polars takes for it grows faster than their number."""

WHOLE = 1e15
"""Numbers below which all digits of a whole one are shown."""

EXAMPLE = 24
"""Characters of a value that are shown."""


@dataclass(frozen=True)
class Described:
    """A column as it is shown.

    Attributes:
        kind: with its role, if that is not to be an input.
        distinct: how many values, beside missing ones.
        low: the smallest, where that makes sense; of dates a year.
        note: why it is left out, or what is wrong, or may be.
    """

    name: str
    kind: str
    missing: int
    distinct: int
    low: float | None
    high: float | None
    example: str
    note: str


@dataclass(frozen=True)
class Description:
    """A table, column by column.

    Attributes:
        faults: what training would refuse.
    """

    source: str
    rows: int
    columns: tuple[Described, ...]
    faults: tuple[Fault, ...]


def describe(config: DescribeConfig) -> Description:
    """Reads a table as training would.

    Raises:
        UserError: if it cannot be read at all; what is wrong with single columns is part of the description.
    """
    spec = spec_of(config.data)
    with opened_source(config.data) as source, row_progress() as progress:
        task = progress.add_task(f"{source.where}: read", total=None)
        reading = read(source, spec, np.float64, _scratch, lambda rows: progress.update(task, completed=rows))
        found = findings(reading, spec, source)
        distinct, examples = _looked_up(source, spec.marks, reading.rows)
    order = {name: place for place, name in enumerate(source.schema)}
    columns = tuple(
        _described(each, distinct[each.name], examples[each.name])
        for each in sorted(found, key=lambda each: order[each.name])
    )
    empty = [Fault("has a header but no rows", source.where)] if reading.rows == 0 else []
    return Description(source.where, reading.rows, columns, (*empty, *faults_of(found)))


def _scratch(name: str, shape: tuple[int, int], dtype: type[np.floating]) -> np.ndarray:
    """Memory for what is not kept: a file's that has no name, if it is much."""
    if shape[0] * shape[1] * np.dtype(dtype).itemsize <= SHARE_OF_FREE_MEMORY * free_memory():
        return np.empty(shape, dtype)
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, dtype, "w+", shape=shape)


def _looked_up(source: Source, marks: Sequence[str], rows: int) -> tuple[dict[str, int], dict[str, str]]:
    """Of each column, how many distinct values, and the first one."""
    texts = {
        name: words(name, kind, marks).drop_nulls()
        for name, kind in source.schema.items()
        if not (kind.is_nested() or kind in (pl.Binary, pl.Object))
    }
    count = pl.Expr.n_unique if rows <= COUNTED else pl.Expr.approx_n_unique
    scan = source.scan()
    counted: dict[str, int] = {}
    first: dict[str, object] = {}
    every = list(texts)
    for start in range(0, len(every), TOGETHER):
        names = every[start : start + TOGETHER]
        looked = scan.select(
            *(count(texts[name]).alias(f"{name}:count") for name in names),
            *(texts[name].first().alias(f"{name}:first") for name in names),
        )
        row = looked.collect(engine="streaming").row(0)
        counted |= dict(zip(names, row, strict=False))
        first |= dict(zip(names, row[len(names) :], strict=True))
    return (
        {name: int(counted.get(name) or 0) for name in source.schema},
        {name: "" if first.get(name) is None else str(first[name]) for name in source.schema},
    )


def _described(found: Finding, distinct: int, example: str) -> Described:
    kind = found.kind if found.role == "input" else f"{found.kind} ({found.role})"
    note = f"left out: {found.left_out}" if found.left_out else found.note
    if found.faults:
        note = "refused: " + "; ".join(each.what for each in found.faults)
    return Described(found.name, kind, found.missing, distinct, found.low, found.high, example, note)


def description_grid(description: Description) -> Grid:
    """A line for each column."""
    grid = Grid("column", "kind")
    for name in ("missing", "distinct", "range"):
        grid.add_column(name, justify="right")
    grid.add_column("example", overflow="fold")
    grid.add_column("note", overflow="fold")
    about = "≈" if description.rows > COUNTED else ""
    for each in description.columns:
        cells = (
            each.name or "(no name)",
            each.kind,
            f"{each.missing:,} ({each.missing / description.rows:.1%})" if each.missing else "",
            f"{about}{each.distinct:,}",
            "" if each.low is None or each.high is None else f"{_number(each.low)} … {_number(each.high)}",
            shortened(each.example, EXAMPLE)[1:-1],
            each.note,
        )
        grid.add_row(*map(Text, cells))
    return grid


def _number(value: float) -> str:
    """Whole ones with all their digits."""
    return f"{value:.0f}" if value.is_integer() and abs(value) < WHOLE else f"{value:.6g}"
