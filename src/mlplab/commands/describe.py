"""The command describe: how the columns of a table are read, before any training."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from rich.cells import cell_len
from rich.console import Group, JustifyMethod, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from mlplab.config import TrainConfig
from mlplab.console import wrapped
from mlplab.data.check_task import check_split, check_task
from mlplab.data.infer.infer_columns import infer_columns
from mlplab.data.infer.inferred_column import InferredColumn
from mlplab.data.infer.read_table import build_table
from mlplab.data.infer.table_reader import TableReader
from mlplab.data.io.progress import row_progress
from mlplab.data.load_table import opened_source, table_dtype, table_spec
from mlplab.data.memmap import SHARE_OF_FREE_MEMORY, free_memory
from mlplab.data.parse import cells_of, parse_str
from mlplab.data.splits.make_split import make_split
from mlplab.errors import Fault, UserError, listed, shortened

COUNTED = 1_000_000
"""Rows up to which distinct values are counted exactly; beyond that, the count is an estimate."""

SMALLEST = 65_536
"""The number of hashes of a column that an estimate keeps: its standard error is 0.4%."""

HASHES = 100_000_000
"""The largest number of hashes in memory. Columns are counted in groups of this size."""

WHOLE = 1e15
"""Magnitude below which whole numbers are shown with all digits."""

HEADERS = ("column", "kind", "missing", "distinct", "range", "example", "note")
NUMBERS = ("missing", "distinct", "range")

LAYOUTS = ((24, True), (12, True), (24, False), (12, False), (6, False), (0, False))
"""Characters of a value that are shown, and whether notes are in the grid: the first that fits the width."""

LEAST = {"column": 20, "kind": 11, "note": 30}
"""The least widths of columns of the grid whose cells may be wrapped."""


@dataclass(frozen=True)
class Description:
    """A table, column by column.

    Attributes:
        columns: each column by name, in each of its roles.
        distinct: the number of distinct values of each column, without missing ones.
        examples: the first value of each column.
        faults: why training would refuse the table.
    """

    source: str
    rows: int
    columns: Mapping[str, Sequence[InferredColumn]]
    distinct: Mapping[str, int]
    examples: Mapping[str, str]
    faults: tuple[Fault, ...]


def describe(config: TrainConfig) -> Description:
    """Reads and splits a table as training does, except that no target is needed.

    Raises:
        UserError: if the table cannot be read at all. Faults of single columns and of the split are part of
            the description.
    """
    spec = table_spec(config)
    with opened_source(config.data) as source:
        with row_progress(f"reading {source.where} and inferring its columns") as count:
            reader = TableReader(source, spec, table_dtype(config), _scratch, count)
            columns = infer_columns(reader.read())
        by_name: dict[str, list[InferredColumn]] = {name: [] for name in source.schema}
        for column in columns:
            by_name[column.name].append(column)
        by_name = {name: roles for name, roles in by_name.items() if roles}
        with row_progress(f"counting distinct values of {source.where}") as count:
            counts = _distinct_and_first(reader, count)
        return Description(source.where, reader.rows, by_name, *counts, _faults(config, reader, columns))


def _faults(config: TrainConfig, reader: TableReader, columns: Sequence[InferredColumn]) -> tuple[Fault, ...]:
    """Why training would refuse a table that can be read."""
    try:
        table = build_table(reader, columns)
        check_task(config, table)
        split = make_split(config.data.split, table)
        absent = {part: table.absent_classes(rows) for part, rows in split.parts().items()}
        check_split(config, table.schema.classes, absent)
    except UserError as error:
        return error.faults
    return ()


def _scratch(name: str, shape: tuple[int, int], dtype: type[np.floating]) -> np.ndarray:
    """Allocates a temporary matrix; a large one in an unnamed temporary file."""
    if shape[0] * shape[1] * np.dtype(dtype).itemsize <= SHARE_OF_FREE_MEMORY * free_memory():
        return np.empty(shape, dtype)
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, dtype, "w+", shape=shape)


def _distinct_and_first(
    reader: TableReader, count: Callable[[int], None]
) -> tuple[dict[str, int], dict[str, str]]:
    """The number of distinct values of each column, and its first value."""
    schema, is_exact = reader.source.schema, reader.rows <= COUNTED
    distinct, first = dict.fromkeys(schema, 0), dict.fromkeys(schema, "")
    known = {column.name: column.texts for column in reader.columns if column.texts is not None}
    for name, texts in known.items():
        distinct[name], first[name] = len(texts), next(iter(texts), "")
    unknown = [
        name
        for name, dtype in schema.items()
        if name not in known and not (dtype.is_nested() or dtype in (pl.Binary, pl.Object))
    ]
    together = HASHES // max(1, min(reader.rows, COUNTED))
    for start in range(0, len(unknown), together):
        hashes = {name: pl.Series(dtype=pl.UInt64) for name in unknown[start : start + together]}
        rows = 0
        for frame in reader.blocks(hashes):
            for name, seen in hashes.items():
                texts = parse_str(cells_of(frame, name), reader.spec.na_values).drop_nulls()
                first[name] = first[name] or next(iter(texts.head(1)), "")
                seen.append(texts.unique().hash())
                hashes[name] = seen if is_exact else seen.unique().bottom_k(SMALLEST)
            rows += frame.height
            count(rows)
        distinct |= {name: _distinct(seen, is_exact=is_exact) for name, seen in hashes.items()}
    return distinct, first


def _distinct(hashes: pl.Series, *, is_exact: bool) -> int:
    """The number of distinct hashes of 64 bits; an estimate if there may be more than the smallest ones."""
    number = hashes.n_unique()
    if is_exact or number < SMALLEST:
        return number
    return round((SMALLEST - 1) * 2**64 / hashes.top_k(1).item())  # Bar-Yossef et al. 2002


def description_grid(description: Description, width: int) -> RenderableType:
    """A line for each column, without headers that no column has a value for.

    Where the width is too small, examples are shortened, and notes are below the grid.
    """
    about = "≈" if description.rows > COUNTED else ""
    lines = [
        (
            name or "(no name)",
            _kind(roles),
            f"{missing:,} ({missing / description.rows:.1%})" if (missing := roles[0].missing) else "",
            f"{about}{description.distinct[name]:,}",
            " … ".join(map(_number, roles[0].range or ())),
            description.examples[name],
            _note(roles),
        )
        for name, roles in description.columns.items()
    ]
    cells = {header: list(of_all) for header, *of_all in zip(HEADERS, *lines, strict=True)}
    examples, notes = cells["example"], cells["note"]
    for example, with_notes in LAYOUTS:
        cells["example"] = [shortened(text, example)[1:-1] if example else "" for text in examples]
        cells["note"] = notes if with_notes else []
        shown = {header: of_all for header, of_all in cells.items() if any(of_all)}
        widths = {header: max(map(cell_len, (header, *of_all))) for header, of_all in shown.items()}
        least = [min(width, LEAST.get(header, width)) for header, width in widths.items()]
        if sum(least) + 3 * len(least) < width:
            break
    grid = RichTable()
    for header in shown:
        justify: JustifyMethod = "right" if header in NUMBERS else "left"
        grid.add_column(header, justify=justify, overflow="fold", no_wrap=header not in LEAST)
    for row in zip(*shown.values(), strict=True):
        grid.add_row(*map(Text, row))
    below = (
        []
        if with_notes
        else [f"{name}: {note}" for (name, *_), note in zip(lines, notes, strict=True) if note]
    )
    return Group(grid, *(Text(wrapped(note, width)) for note in below))


def task_lines(description: Description) -> list[str]:
    """What is predicted: numbers, or classes with the number of rows of each; nothing without a target."""
    targets = [
        column for roles in description.columns.values() for column in roles if column.role == "target"
    ]
    if not targets:
        return []
    if not (classes := targets[0].classes):
        return [f"task: regression of {', '.join(column.name for column in targets)}"]
    counts = [f"{shortened(label)} {count:,}" for label, count in classes.counts.items()]
    task = "binary" if len(counts) == 2 else "multiclass"
    return [f"task: {task}; the {len(counts)} classes of {targets[0].name} and their rows: {listed(counts)}"]


def _kind(roles: Sequence[InferredColumn]) -> str:
    """The kind of a column, and its roles if it is not only an input."""
    names = [column.role for column in roles]
    return roles[0].kind if names == ["input"] else f"{roles[0].kind} ({', '.join(names)})"


def _note(roles: Sequence[InferredColumn]) -> str:
    """Why a column is refused or left out, or what may be wrong with it."""
    if faults := [fault.what for column in roles for fault in column.faults]:
        return f"refused: {'; '.join(faults)}"
    return f"left out: {roles[0].left_out}" if roles[0].left_out else roles[0].note


def _number(value: float) -> str:
    """A number; whole ones with all their digits."""
    return f"{value:.0f}" if value.is_integer() and abs(value) < WHOLE else f"{value:.6g}"
