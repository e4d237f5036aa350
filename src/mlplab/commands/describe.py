"""The verb describe: what the columns of a table are taken for, before any training."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from rich.table import Table as Grid
from rich.text import Text

from mlplab.config import DescribeConfig
from mlplab.data.infer.column_statistics import ColumnStatistics
from mlplab.data.infer.columns import InferredColumn, faults_of, infer_columns
from mlplab.data.infer.one_pass import Reading, read
from mlplab.data.infer.read_table import build_table
from mlplab.data.infer.table_spec import TableSpec
from mlplab.data.io.progress import row_progress
from mlplab.data.io.source import Source
from mlplab.data.load import check_targets, opened_source, table_dtype, table_spec
from mlplab.data.memmap import SHARE_OF_FREE_MEMORY, free_memory
from mlplab.data.parse import named, parse_str
from mlplab.data.splits.make import make_split
from mlplab.errors import Fault, UserError, shortened

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
        kind: with its roles, if it has others than to be an input.
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
    """Reads and splits a table as training would, though its target need not be named.

    Raises:
        UserError: if it cannot be read at all; what is wrong with single columns, or with the split, is part
            of the description.
    """
    spec = table_spec(config)
    with opened_source(config.data) as source, row_progress() as progress:
        task = progress.add_task(f"{source.where}: read", total=None)
        reading = read(source, spec, np.float64, _scratch, lambda rows: progress.update(task, completed=rows))
        trained = _rounded(reading, table_dtype(config))
        found = infer_columns(trained, spec, source)
        exact = infer_columns(reading, spec, source)
        distinct, examples = _looked_up(source, spec.na_values, reading.rows)
        faults = _faults(config, trained, found, spec, source)
    by_name: dict[str, list[InferredColumn]] = {name: [] for name in source.schema}
    for each, unrounded in zip(found, exact, strict=True):
        by_name[each.name].append(replace(each, low=unrounded.low, high=unrounded.high))
    columns = (_described(each, distinct[name], examples[name]) for name, each in by_name.items() if each)
    return Description(source.where, reading.rows, tuple(columns), faults)


def _rounded(reading: Reading, dtype: type[np.floating]) -> Reading:
    """A reading whose features have the smallest and largest values that training sees in its precision."""
    exact = reading.of_features
    with np.errstate(over="ignore"):  # too large for it: infinite, as in training
        low, high = (each.astype(dtype).astype(np.float64) for each in (exact.low, exact.high))
    return replace(reading, of_features=ColumnStatistics(exact.missing, low, high))


def _faults(
    config: DescribeConfig, reading: Reading, found: Sequence[InferredColumn], spec: TableSpec, source: Source
) -> tuple[Fault, ...]:
    """What training would refuse of a table that can be read."""
    try:
        table = build_table(reading, found, spec, source)
        check_targets(config, table)
        make_split(config.data.split, table)
    except UserError as error:
        return error.faults
    return ()


def _scratch(name: str, shape: tuple[int, int], dtype: type[np.floating]) -> np.ndarray:
    """Memory for what is not kept: a file's that has no name, if it is much."""
    if shape[0] * shape[1] * np.dtype(dtype).itemsize <= SHARE_OF_FREE_MEMORY * free_memory():
        return np.empty(shape, dtype)
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, dtype, "w+", shape=shape)


def _looked_up(source: Source, na_values: Sequence[str], rows: int) -> tuple[dict[str, int], dict[str, str]]:
    """Of each column, how many distinct values, and the first one."""

    def read(cells: pl.Series) -> pl.Series:
        return parse_str(cells.alias(""), na_values)

    texts = {
        name: named(name).map_batches(read, return_dtype=pl.String(), is_elementwise=True).drop_nulls()
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


def _described(found: Sequence[InferredColumn], distinct: int, example: str) -> Described:
    """What was found of a column in its roles: what a split goes by may be an input too."""
    first, roles = found[0], [each.role for each in found]
    kind = first.kind if roles == ["input"] else f"{first.kind} ({', '.join(roles)})"
    note = f"left out: {first.left_out}" if first.left_out else first.note
    if faults := faults_of(found):
        note = "refused: " + "; ".join(each.what for each in faults)
    return Described(first.name, kind, first.missing, distinct, first.low, first.high, example, note)


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
