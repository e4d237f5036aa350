"""Numbers that are no measurements: row numbers, identifiers, sentinels such as -999, dates, codes of names.

A row number is a perfect input if the table is sorted by its target, but worthless for new rows. A column
that counts the rows may also be an age, a rank or a time: its name decides.
"""

import re
from math import ceil, log10

import numpy as np
import polars as pl
from jaxtyping import Float

from mlplab.data.cells.dates import date_formats, parse_datetime
from mlplab.data.cells.parse import cells_of, is_text, parse_str
from mlplab.data.infer.block_reader import SAMPLE_ROWS, TableReader
from mlplab.data.infer.column_names import GENERATED, names_row_number, stands_for_names
from mlplab.data.infer.inferred_column import InferredColumn
from mlplab.data.infer.table_spec import typed
from mlplab.data.splits.split import distinct
from mlplab.data.table import BLOCK

# The first and the last date as a number: of days and months.
RANGES_OF_DATES = (18000101, 21991231), (180001, 219912), (1800, 2200), (1, 13)


def most_classes(rows: int, *, asked: bool) -> float:
    """The largest number of classes of a target with so many rows; if they are `asked` for, two rows each."""
    return max(20, 0.5 * rows if asked else 0.1 * rows)


def leave_out_row_numbers(reader: TableReader) -> None:
    """Leaves out columns that number the rows, and notes those that may be identifiers.

    Columns stay if the user declared their kind, the split needs them, or there is no other input.
    """
    exempt = {*reader.spec.declared, *(name for name, _ in reader.spec.roles)}
    inputs = [column for column in reader.columns if column.is_input]
    complete = [c for c in inputs if c.kind == "numeric" and not c.missing and c.name not in exempt]
    row_numbers = []
    for column in complete:
        low, high = column.range or (0.5, 0.5)
        is_whole = low.is_integer() and ((high - low) / max(1, reader.rows - 1)).is_integer()
        ends = column.low[0], column.high[0]
        if is_whole and names_row_number(column.name) and counts_rows(reader.values(column), *ends):
            row_numbers.append(column)
    if len(row_numbers) == len(inputs):
        return
    for column in row_numbers:
        keep = f"{typed(column.name, 'numeric')} keeps it"
        column.kind = "row number"
        column.left_out = f"a row number, which is useless for new rows; {keep}"
    for column in complete:
        if column.is_input and _may_identify(column, reader) and not compact_date_note(column, reader):
            drop = typed(column.name, "drop")
            column.note = f"a different whole number in each row; if this is an identifier, drop it: {drop}"


def counts_rows(values: Float[np.ndarray, " row"], low: float, high: float) -> bool:
    """Whether the values rise or fall by the same step from each row to the next; NaN is missing.

    `low` and `high` are their smallest and largest value, before rounding to the column's type.
    """
    if len(values) < 3 or not low < high:  # two values are always a step apart
        return False
    first, step = low, (high - low) / (len(values) - 1)
    if values[0] > values[-1]:
        first, step = high, -step
    for start in range(0, len(values), BLOCK):  # most columns are refuted by the first
        block = values[start : start + BLOCK]
        expected = (first + step * np.arange(start, start + len(block))).astype(values.dtype)
        if not (np.abs(block - expected) < abs(step) / 2).all():
            return False
    return True


def _may_identify(column: InferredColumn, reader: TableReader) -> bool:
    dtype, (low, high) = reader.source.schema[column.name], column.range or (0, 0)
    values, largest = reader.values(column), max(map(abs, (column.low[0], column.high[0])))
    if reader.rows < 100 or high - low < reader.rows - 1:
        return False
    sample = values[:SAMPLE_ROWS]
    if not (dtype.is_integer() or is_text(dtype)) or len(np.unique(sample)) < len(sample):
        return False
    for start in range(0, len(values), BLOCK):
        in_units = (block := values[start : start + BLOCK]).astype(np.float64) + column.definition.offset
        if (np.abs(in_units - np.round(in_units)) > np.spacing(np.abs(block))).any():
            return False
    return np.spacing(values.dtype.type(largest)) <= 0.5 and len(distinct(values)) == len(values)


def sentinels(values: Float[np.ndarray, " row"], low: float, high: float, offset: float) -> dict[str, int]:
    """The likely sentinel values of a column as users type them, and how many cells hold each.

    A sentinel is the smallest or the largest value, occurs more than once, and is -1 or made of 9s. If
    negative, it is the only negative value or lies apart from the others. If positive, it lies apart, and is
    either far from the others or more frequent than its neighbour, unlike the largest of a few large values.
    The values are without their offset, their bounds `low` and `high` with it; NaN is missing.
    """
    texts = {end: _number_text(end, offset) for end in (low, high)}
    # A single 9 is too common as a count; -99.9 is typical, too.
    ends = [end for end, text in texts.items() if re.fullmatch(r"-1|-9|-?9[9.]*9", text)]
    if not ends:  # nearly always, and nothing needs sorting
        return {}
    distinct, counts = np.unique(values[~np.isnan(values)], return_counts=True)
    distinct = distinct.astype(np.float64) + offset
    # Near 99 and the like may be others, for different reasons: 97, 98.
    blocks = [np.abs(distinct - end) < (2.5 if abs(end) > 9 else 1e-3) for end in ends]
    others = ~np.any(blocks, axis=0)
    if others.sum() < 3:  # codes such as -1, 0 and 1
        return {}
    likely: dict[str, int] = {}
    for end, block in zip(ends, blocks, strict=True):
        nearest = np.abs(np.where(others, distinct, np.inf) - end).argmin()
        gap = np.abs(distinct[block] - distinct[nearest]).min()
        span, widest = np.ptp(distinct[others]), np.diff(distinct[others]).max()
        is_apart = gap >= 3 * widest
        if end < 0 and end == low:
            is_likely = distinct[nearest] >= 0 or is_apart
        else:
            is_likely = is_apart and (gap >= span or counts[block].sum() > counts[nearest])
        if is_likely and counts[block].sum() > 1:
            for value, count in zip(distinct[block].tolist(), counts[block].tolist(), strict=True):
                likely[_number_text(value, offset)] = count
    return likely


def compact_date_note(column: InferredColumn, reader: TableReader) -> str:
    """A note about numbers that look like dates, such as 19750103, or months, such as 197501."""
    low, high = column.range or (0, 0)
    is_in_range = any(low >= first and high <= last for first, last in RANGES_OF_DATES)
    cells = cells_of(reader.sample, column.name).drop_nulls()
    if (
        column.name in reader.spec.declared
        or not is_in_range
        or not date_formats(cells.head(100).cast(pl.String))
    ):
        return ""  # nearly always, and fast
    text = parse_str(cells, reader.spec.na_values_of(column.name)).drop_nulls()
    formats = date_formats(text.unique(maintain_order=True))
    if not formats or parse_datetime(text, (), formats[0]).null_count():
        return ""
    return f"its numbers look like dates, such as {text[0]}; if they are: {typed(column.name, formats[0])}"


def _number_text(value: float, offset: float) -> str:
    """A number with only the digits that float32 keeps without the offset."""
    digits = -ceil(log10(4 * np.spacing(np.float32(abs(value - offset)))))
    return f"{round(value, digits):.7g}"


def whole_target_note(column: InferredColumn, reader: TableReader) -> str:
    """A warning about a target that identifies rows, or an offer to predict its numbers as classes.

    Of 900 columns of up to 30 whole numbers in R's tables, 66 stand for names. Their own names say so of 39,
    and of 3 others.
    """
    spec, values = reader.spec, reader.values(column)
    if spec.task != "auto" or spec.asks_for_numbers or column.name in spec.declared:
        return ""
    values = values[~np.isnan(values)]
    if (values != np.floor(values)).any():
        return ""
    count = len(distinct(values))
    silenced = "(task=regression removes this line)"
    is_identifier = names_row_number(column.name) and not GENERATED.fullmatch(column.name)
    if (is_identifier and count == len(values)) or counts_rows(values, column.low[0], column.high[0]):
        what = "a different whole number in each row, like a row number or an identifier"
        return f"{what}; if it is one, choose a different data.target {silenced}"
    most = min(30, len(values) / 2, most_classes(len(values), asked=False))
    if count > most or not stands_for_names(column.name):
        return ""
    what = f"its {count} whole values are predicted as numbers"
    return f"{what}; if they are classes: task=multiclass {silenced}"
