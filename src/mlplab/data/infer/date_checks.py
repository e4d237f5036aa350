"""Dates that may be misread: two-digit years, and whole numbers such as 19750103."""

from mlplab.data.dates import LAST_YEAR, parse_datetime
from mlplab.data.infer.inferred_column import InferredColumn
from mlplab.data.infer.table_reader import TableReader
from mlplab.data.infer.table_spec import typed
from mlplab.data.parse import cells_of, parse_str
from mlplab.errors import Fault

FIRST_YEAR = LAST_YEAR - 99

COMPACT = "%Y%m%d"
"""The format of dates written as whole numbers."""

FOUR_DIGITS = "use four-digit years"


def century_faults(column: InferredColumn, where: str) -> list[Fault]:
    """Faults of two-digit years that seem to belong to more than one century."""
    first, last = column.range or (0, 0)
    if "%y" not in column.definition.format or first >= FIRST_YEAR + 1 or last < LAST_YEAR:
        return []
    what = "two-digit years are ambiguous"
    found = f"both {LAST_YEAR % 100} and {FIRST_YEAR % 100}, which would be {LAST_YEAR} and {FIRST_YEAR}"
    return [Fault(what, where, found, remedy=f"{FOUR_DIGITS}; or {typed(column.name, 'drop')} leaves it out")]


def date_note(column: InferredColumn, reader: TableReader) -> str:
    """A note about the century of two-digit years, or about numbers that look like dates."""
    if column.kind == "date" and "%y" in column.definition.format and column.range:
        first, last = map(int, column.range)
        years = f"two-digit years are read as {FIRST_YEAR} to {LAST_YEAR}, here from {first} to {last}"
        return f"{years}; if that is wrong, {FOUR_DIGITS}"
    if column.kind != "numeric" or column.name in reader.spec.declared or not has_range_of_dates(column):
        return ""
    text = parse_str(cells_of(reader.sample, column.name), reader.spec.na_values).drop_nulls()
    if not len(text) or parse_datetime(text, (), COMPACT).null_count():
        return ""
    return f"its numbers look like dates, such as {text[0]}; if they are: {typed(column.name, COMPACT)}"


def has_range_of_dates(column: InferredColumn) -> bool:
    """Whether all numbers are between 18000101 and 21001231."""
    return column.range is not None and column.range[0] >= 18000101 and column.range[1] <= 21001231
