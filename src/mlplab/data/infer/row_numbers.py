"""Row numbers, which are left out, and other whole numbers that may be identifiers.

A row number is a perfect input if the table is sorted by its target, but worthless for new rows.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl
from jaxtyping import Float

from mlplab.data.infer.date_checks import has_range_of_dates
from mlplab.data.infer.inferred_column import InferredColumn
from mlplab.data.infer.table_reader import TableReader
from mlplab.data.infer.table_spec import typed
from mlplab.data.parse import cells_of, is_text

FEWEST = 100
"""Number of rows below which distinct whole numbers are not suspicious."""

FIRST = 4096
"""Number of rows that are checked before a column is scanned again."""


def leave_out_row_numbers(reader: TableReader) -> None:
    """Leaves out columns that number the rows, and notes those that may be identifiers.

    Columns stay if the user declared their kind, the split needs them, or there is no other input.
    """
    exempt = {*reader.spec.declared, *(name for name, _ in reader.spec.roles)}
    inputs = [column for column in reader.columns if column.is_input]
    numbers, possible = [], []
    for column in inputs:
        if column.kind == "numeric" and not column.missing and column.name not in exempt and column.range:
            values, offset = reader.values(column), column.definition.offset
            if is_row_number(values, *column.range, offset):
                numbers.append(column)
            elif not has_range_of_dates(column) and may_identify(values, *column.range, offset):
                possible.append(column)
    if len(numbers) < len(inputs):
        for column in numbers:
            why = "a row number, which is useless for new rows"
            column.leave_out("row number", f"{why}; {typed(column.name, 'numeric')} keeps it")
    for column in _distinct_integers(possible, reader):
        drop = typed(column.name, "drop")
        column.note = f"a different whole number in each row; if this is an identifier, drop it: {drop}"


def is_row_number(values: Float[np.ndarray, " row"], low: float, high: float, offset: float) -> bool:
    """Whether a column counts the rows in their order from 0 or 1.

    Args:
        values: the column without its offset; NaN is missing.
        low: its smallest value, in its own units.
        high: its largest.
    """
    last = len(values) - 1
    if last < 1 or low not in (0, 1) or not np.isclose(high - low, last, rtol=1e-6):
        return False
    return np.array_equal(values, (np.arange(last + 1) + (low - offset)).astype(values.dtype))


def may_identify(values: Float[np.ndarray, " row"], low: float, high: float, offset: float) -> bool:
    """Whether a column's first rows have distinct whole numbers, and its range has enough for all rows."""
    first = values[:FIRST]
    if len(values) < FEWEST or not high - low >= len(values) - 1 or len(np.unique(first)) < len(first):
        return False
    whole = first.astype(np.float64) + offset
    return bool((np.abs(whole - np.round(whole)) <= np.spacing(np.abs(first))).all())


def _distinct_integers(columns: Sequence[InferredColumn], reader: TableReader) -> list[InferredColumn]:
    """The columns that have a different whole number in each row, comparing all digits."""
    dtypes = ((column, reader.source.schema[column.name]) for column in columns)
    integers = [column for column, dtype in dtypes if dtype.is_integer() or is_text(dtype)]
    values = {column.name: pl.Series(dtype=pl.Int64) for column in integers}
    for frame in reader.blocks(values) if values else ():
        for name, of_all in values.items():
            of_all.append(cells_of(frame, name).cast(pl.Int64, strict=False))
    return [each for each in integers if values[each.name].drop_nulls().n_unique() == reader.rows]
