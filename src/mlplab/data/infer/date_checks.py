"""Dates that may not be what they seem: years of two digits, and whole numbers such as 19750103."""

import logging

import polars as pl

from mlplab.data.dates import LAST_YEAR, parse_datetime
from mlplab.data.infer.column_readers import ColumnReader
from mlplab.data.infer.table_spec import TableSpec, titled, typed
from mlplab.data.io.source import Source
from mlplab.data.parse import cells_of, parse_str
from mlplab.errors import Fault

log = logging.getLogger(__name__)

FIRST_YEAR = LAST_YEAR - 99

COMPACT = "%Y%m%d"
"""How dates are written in whole numbers."""

COMPACT_RANGE = (18000101, 21001231)
"""Of numbers that are dates rather than something else."""

FOUR_DIGITS = "write its years with four digits"


def warn_about_years(reader: ColumnReader, low: float, high: float, source: Source) -> None:
    """Tells which century years of two digits are read as."""
    if reader.form == "date" and reader.role == "input" and "%y" in reader.days:
        log.warning(
            "%s, %s: years of two digits are read as %d to %d, here from %d to %d; if that is wrong, %s",
            source.where,
            titled(reader.name, reader.role),
            FIRST_YEAR,
            LAST_YEAR,
            low,
            high,
            FOUR_DIGITS,
        )


def century_faults(reader: ColumnReader, low: float, high: float, where: str) -> tuple[Fault, ...]:
    """Refuses years of two digits that seem to go on over the end of the century that they are read as."""
    if reader.form != "date" or "%y" not in reader.days or low >= FIRST_YEAR + 1 or high < LAST_YEAR:
        return ()
    what = "years of two digits lie on both sides of the turn of their century"
    found = f"{FIRST_YEAR % 100} and {LAST_YEAR % 100}, of which the one may be before the other"
    remedy = f"{FOUR_DIGITS}; or {typed(reader.name, 'drop')} leaves it out"
    return (Fault(what, where, found, remedy=remedy),)


def warn_about_numbers(
    reader: ColumnReader, low: float, high: float, sample: pl.DataFrame, spec: TableSpec, source: Source
) -> None:
    """Tells of an undeclared column of whole numbers that look like dates."""
    is_open = reader.form == "number" and reader.role == "input" and reader.name not in spec.declared
    if not is_open or low < COMPACT_RANGE[0] or high > COMPACT_RANGE[1]:
        return
    text = parse_str(cells_of(sample, reader.name), spec.na_values).drop_nulls()
    if len(text) and parse_datetime(text, (), COMPACT).null_count() == 0:
        log.warning(
            "%s, column '%s': its numbers look like dates, such as %s; if they are: %s",
            source.where,
            reader.name,
            text[0],
            typed(reader.name, COMPACT),
        )
