"""Row numbers, which are left out, and other whole numbers that may be identifiers.

A row number is a perfect input if the table is sorted by its target, but worthless for new rows. A column
that counts the rows may also be an age, a rank or a time: its name decides.
"""

import re
from collections.abc import Sequence

import numpy as np
import polars as pl
from jaxtyping import Float

from mlplab.data.infer.date_checks import has_range_of_dates
from mlplab.data.infer.inferred_column import InferredColumn
from mlplab.data.infer.table_reader import TableReader
from mlplab.data.infer.table_spec import typed
from mlplab.data.parse import cells_of, is_text
from mlplab.data.table import BLOCK

FEWEST = 100
"""Number of rows below which distinct whole numbers are not suspicious."""

FIRST = 4096
"""Number of rows that are checked before a column is scanned again."""

WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+|#")

IDENTIFIERS = {"id", "uid", "identifier"}

_ROW = "row|rec|record|obs|observation|case|line|entry|instance|sample|example|serial|seq|sequence"
ROW_NUMBER = re.compile(rf"({_ROW})s?(id|names?)?|({_ROW}|s|sl|sr|lfd)?(no|nr|num|number|index|idx|#)")
"""Words that together say row number, in lower case and without what separates them: Row_Number, S.No, #."""

GENERATED = re.compile(r"column_\d+|Unnamed: \d+|\.\.\.\d+|_c\d+|V\d+|__index_level_\d+__")
"""Names that polars, pandas, readr, Spark and R give to columns that have none."""


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
            if names_row_number(column.name) and _are_row_numbers(column, values):
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


def _are_row_numbers(column: InferredColumn, values: Float[np.ndarray, " row"]) -> bool:
    low, high = column.range or (0.0, 0.0)
    step = (high - low) / max(1, len(values) - 1)
    return low.is_integer() and step.is_integer() and counts_rows(values, column.low[0], column.high[0])


def names_row_number(name: str) -> bool:
    """Whether a column's name says that it numbers or identifies rows, or is none that a person gave."""
    words = [word.lower() for word in WORD.findall(name)]
    return bool(IDENTIFIERS & set(words) or ROW_NUMBER.fullmatch("".join(words)) or GENERATED.fullmatch(name))


def counts_rows(values: Float[np.ndarray, " row"], low: float, high: float) -> bool:
    """Whether the values rise or fall by the same step from each row to the next.

    Args:
        values: a column; NaN is missing.
        low: its smallest value, before rounding to the column's type.
        high: its largest.
    """
    if len(values) < 3 or not low < high:  # two values are always a step apart
        return False
    first, step = low, (high - low) / (len(values) - 1)
    if values[0] > values[-1]:
        first, step = high, -step

    def is_counted(start: int) -> bool:
        block = values[start : start + BLOCK]
        expected = (first + step * np.arange(start, start + len(block))).astype(values.dtype)
        return bool((np.abs(block - expected) < abs(step) / 2).all())

    return all(map(is_counted, range(0, len(values), BLOCK)))


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
