"""The command describe: how the columns of a table are read, before any training."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import polars as pl
from rich.cells import cell_len
from rich.console import Group, JustifyMethod, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from mlplab.config import TrainConfig
from mlplab.console import wrapped
from mlplab.data.cache import RunData
from mlplab.data.cells.parse import parse_str
from mlplab.data.class_labels import check_split, check_task
from mlplab.data.infer.block_reader import SAMPLE_ROWS, TableReader
from mlplab.data.infer.infer_table import build_table, infer_columns
from mlplab.data.infer.inferred_column import InferredColumn
from mlplab.data.infer.table_spec import TableSpec
from mlplab.data.load_table import allocated, opened_source, table_dtype, table_spec
from mlplab.data.splits.make_split import make_split
from mlplab.errors import Fault, UserError, listed, shortened

MOST_CELLS = 30_000_000  # of which the distinct values are counted

LONGEST_EXAMPLE = 24  # characters

LEAST_WIDTHS = {"column": 20, "kind": 11}  # of columns of the grid whose cells may be wrapped

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Description:
    """A table, column by column.

    Attributes:
        source, rows: what messages call it, and its number of rows.
        columns: each column by name, in each of its roles.
        distinct: the number of distinct values that are not missing, by column: `40`, or `9,215+`.
        examples: the first value of each column in the first rows.
        faults: why training would refuse the table: faults of single columns and of the split.
    """

    source: str
    rows: int
    columns: Mapping[str, Sequence[InferredColumn]]
    distinct: Mapping[str, str]
    examples: Mapping[str, str]
    faults: Sequence[Fault]


def described(config: TrainConfig, frame: pl.DataFrame | None = None) -> Description:
    """Reads and splits a table as training does, except that no target is needed.

    Args:
        frame: the rows, if the configuration is of a frame in memory.

    Raises:
        UserError: if the table cannot be read at all.
    """
    spec = table_spec(config)
    with opened_source(config.data, frame) as source:
        reader = TableReader(source, spec, table_dtype(config), allocated)
        columns = infer_columns(reader.read())
        by_name: dict[str, list[InferredColumn]] = {name: [] for name in source.schema}
        for column in columns:
            by_name[column.name].append(column)
        known = {name: roles for name, roles in by_name.items() if roles}
        distinct = {name: _distinct(reader, roles[0]) for name, roles in known.items()}
        examples = _examples(reader.sample, spec)
        faults = _faults(config, reader, columns)
    return Description(source.where, reader.rows, known, distinct, examples, faults)


def _faults(config: TrainConfig, reader: TableReader, columns: Sequence[InferredColumn]) -> Sequence[Fault]:
    """Why training would refuse the table. Warns of rows in the order of time."""
    try:
        table = build_table(reader, columns)
        check_task(config, table)
        data = RunData(table, make_split(config.data.split, table))
        check_split(config, table.schema.classes, data.absent_classes)
        for warning in data.time_order if table.schema.targets else ():
            log.warning("%s", warning)
    except UserError as error:
        return error.faults
    return ()


def _distinct(reader: TableReader, column: InferredColumn) -> str:
    """The number of distinct values of a column, as the network sees them, in the first rows of the table."""
    if column.texts is not None:
        return f"{len(column.texts):,}"
    rows = max(SAMPLE_ROWS, MOST_CELLS // len(reader.columns))
    values = reader.matrix(column)[:rows, column.location]
    known = values[~np.isnan(values).any(1)]
    distinct = pl.DataFrame(known).n_unique() if known.shape[1] > 1 else len(np.unique(known))
    return f"{distinct:,}" + "+" * (reader.rows > rows)


def _examples(sample: pl.DataFrame, spec: TableSpec) -> dict[str, str]:
    """The first value of each column in a few rows, which are parsed one by one: a table may be wide."""
    examples = dict[str, str]()
    for row in sample.head(10).iter_rows(named=True):
        cells = (None if cell is None else str(cell) for cell in row.values())
        parsed = zip(row, parse_str(pl.Series(cells, dtype=pl.String), spec.na_values), strict=True)
        known = ((name, cell) for name, cell in parsed if cell not in spec.na_values_by_column.get(name, ()))
        examples = {name: cell for name, cell in known if cell} | examples
    return examples


def column_rows(description: Description) -> Iterator[dict[str, Any]]:
    """Name, kind, number of missing and distinct values, range, example and note of each column."""
    for name, roles in description.columns.items():
        first, others = roles[0], [column.role for column in roles]
        faults = [fault.what for column in roles for fault in column.faults]
        note = f"left out: {first.left_out}" if first.left_out else first.note
        yield {
            "column": name or "(no name)",
            "kind": first.kind if others == ["input"] else f"{first.kind} ({', '.join(others)})",
            "missing": first.missing,
            "distinct": description.distinct[name],
            "range": " … ".join(_ends(first)),
            "example": description.examples.get(name, ""),
            "note": f"refused: {'; '.join(faults)}" if faults else note,
        }


def description_grid(description: Description, width: int) -> RenderableType:
    """A line for each column, without headers that no column has a value for; below it, notes on columns.

    Examples have the room that the other cells leave.
    """
    rows = [*column_rows(description)]
    cells = {header: [row[header] for row in rows] for header in rows[0]}
    examples, notes = cells.pop("example"), zip(cells["column"], cells.pop("note"), strict=True)
    cells["missing"] = [
        f"{missing:,} ({missing / description.rows:.1%})" if missing else "" for missing in cells["missing"]
    ]
    cells = {header: texts for header, texts in cells.items() if any(texts)}
    widths = (
        min(max(map(cell_len, (header, *texts))), LEAST_WIDTHS.get(header, width))
        for header, texts in cells.items()
    )
    room = min(LONGEST_EXAMPLE, width - sum(used + 3 for used in widths) - 6)
    if room >= 6 and any(examples):
        cells["example"] = [shortened(example, room)[1:-1] for example in examples]
    grid = RichTable()
    for header in cells:
        justify: JustifyMethod = "right" if header in ("missing", "distinct", "range") else "left"
        grid.add_column(header, justify=justify, overflow="fold", no_wrap=header not in LEAST_WIDTHS)
    for texts in zip(*cells.values(), strict=True):
        grid.add_row(*map(Text, texts))
    lines = (f"{name}: {note}" for name, note in notes if note)
    return Group(grid, *(Text(wrapped(line, width)) for line in lines))


def task_lines(description: Description) -> list[str]:
    """What is predicted: numbers, or classes with the number of rows of each; nothing without a target."""
    columns = chain.from_iterable(description.columns.values())
    targets = [column for column in columns if column.role == "target"]
    if not targets:
        return []
    if not (classes := targets[0].classes):
        return [f"task: regression of {', '.join(column.name for column in targets)}"]
    counts = [f"{shortened(label)} {count:,}" for label, count in classes.items()]
    if len(counts) == 1:
        return [f"task: none, as {targets[0].name} has a single class: {counts[0]}"]
    task = "binary" if len(counts) == 2 else "multiclass"
    return [f"task: {task}; the {len(counts)} classes of {targets[0].name} and their rows: {listed(counts)}"]


def _ends(column: InferredColumn) -> Iterable[str]:
    if column.kind == "ordinal" and (levels := column.definition.categories):
        return (shortened(level, LONGEST_EXAMPLE // 2)[1:-1] for level in (levels[0], levels[-1]))
    return (
        f"{end:.0f}" if end.is_integer() and abs(end) < 1e15 else f"{end:.6g}" for end in column.range or ()
    )
