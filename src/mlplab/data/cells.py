"""Cells of a column as numbers, moments or words; null where one holds nothing, or not what it should.

Each function takes a column's name and its type in the frame at hand, and gives an expression, so that a
table read for training, a file to predict and a frame in memory are understood alike.
"""

from collections.abc import Collection
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

import polars as pl
import polars.selectors as cs

if TYPE_CHECKING:
    from polars import DataType as DataType
else:
    DataType = object  # whose checks at run time do not understand polars' class

NOTHING = ("", "nan", "-nan", "+nan", "na", "n/a", "null")
"""What a cell says, in lower case and without spaces, that holds no value."""

ISO = "%Y-%m-%d"

DAYS = {
    ISO: r"^\d{4}-",
    "%Y/%m/%d": r"^\d{4}/",
    "%d.%m.%Y": r"^\d+\.\d+\.\d{4}\b",
    "%d.%m.%y": r"^\d+\.\d+\.\d\d\b",
    "%d/%m/%Y": r"^\d+/\d+/\d{4}\b",
    "%m/%d/%Y": r"^\d+/\d+/\d{4}\b",
    "%d/%m/%y": r"^\d+/\d+/\d\d\b",
    "%m/%d/%y": r"^\d+/\d+/\d\d\b",
    "%d-%b-%Y": r"^\d+-[A-Za-z]+-\d{4}\b",
}
"""How dates are written, each alone or with a time of day, and what tells how many digits a year has."""

TIMES = ("", " %H:%M", " %H:%M:%S%.f", " %I:%M %p", " %I:%M:%S %p")

Form = Literal["number", "boolean", "date"]
"""What cells are read as."""

EXPECTED: dict[Form, str] = {
    "number": "a number such as 1176.2",
    "boolean": "true or false",
    "date": "a date such as 2024-01-31",
}

BAD: dict[Form, str] = {
    "number": "is not a finite number",
    "boolean": "is neither true nor false",
    "date": "is no date as the others are",
}
"""What is said of a cell that is none."""

LONG = r"^[+-]?\d{19,}$"
"""Integers that may have more than 64 bits; such are names rather than numbers, or lose their digits."""

LONGEST_INTEGER = 2.0**63
"""In magnitude, from which on they have."""

TRUTH = {"true": 1.0, "false": 0.0}

_DAY = r"^\d{1,4}[-/.](\d{1,2}|[A-Za-z]{3})[-/.]\d{1,4}"
_ZONE = r"(\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?)\s*(Z|UTC|[+-]\d{2}(?::?\d{2})?)$"


def named(name: str) -> pl.Expr:
    """The column of that name; `pl.col` would take some names for patterns."""
    return cs.by_name(name).as_expr()


def says_nothing(text: pl.Expr, marks: Collection[str]) -> pl.Expr:
    """Whether a text, stripped of spaces, stands for a missing value; `marks` are further words for one, or
    numbers, however they are written."""
    nothing = text.is_null() | text.str.to_lowercase().is_in(NOTHING) | text.is_in(list(marks))
    absent = _numbers_among(marks)
    if absent:
        nothing |= text.cast(pl.Float64, strict=False).is_in(absent).fill_null(value=False)
    return nothing


def words(name: str, dtype: DataType, marks: Collection[str]) -> pl.Expr:
    """As text without spaces around it; whole numbers without a decimal point, as other files have them."""
    text = named(name).cast(pl.String).str.strip_chars().str.replace(r"^([+-]?\d+)\.0+$", "$1")
    return pl.when(~says_nothing(text, marks)).then(text)


def numbers(name: str, dtype: DataType, marks: Collection[str], *, comma: bool = False) -> pl.Expr:
    """As Float64. `comma`: text has a decimal comma."""
    column = named(name)
    if is_text(dtype):
        text = words(name, dtype, marks)
        if comma:  # then a point sets thousands apart, and would make others of them
            text = pl.when(~text.str.contains(".", literal=True)).then(text)
            text = text.str.replace(",", ".", literal=True)
        return text.cast(pl.Float64, strict=False)
    value, absent = column.cast(pl.Float64), _numbers_among(marks)
    return pl.when(~value.is_in(absent)).then(value) if absent else value


def truths(name: str, dtype: DataType, marks: Collection[str]) -> pl.Expr:
    """As Float64: 1 for true and 0 for false."""
    if not is_text(dtype):
        value = numbers(name, dtype, marks)
        return pl.when(value.is_in(list(TRUTH.values()))).then(value)
    text = words(name, dtype, marks).str.to_lowercase()
    return text.replace_strict(TRUTH, default=None, return_dtype=pl.Float64)


def moments(name: str, dtype: DataType, marks: Collection[str], days: str) -> pl.Expr:
    """As Datetime in microseconds; one with a zone in UTC, so that it is the same in text and in a frame.

    `days` is one of `DAYS`, or a whole format of the user's.
    """
    if is_moment(dtype):
        zone = getattr(dtype, "time_zone", None)
        column = named(name).cast(pl.Datetime("us", zone))
        return (column.dt.convert_time_zone("UTC") if zone else column).dt.replace_time_zone(None)
    text = words(name, dtype, marks)
    if days not in DAYS:
        moment = text.str.to_datetime(days, time_unit="us", strict=False)
        return moment.dt.replace_time_zone(None) if "%z" in days else moment
    zone = text.str.extract(_ZONE, 2)
    digits = zone.str.replace_all(r"\D", "").str.pad_end(4, "0").cast(pl.Int64, strict=False)
    minutes = (digits // 100 * 60 + digits % 100) * pl.when(zone.str.starts_with("-")).then(-1).otherwise(1)
    plain = text.str.replace(r"(\d)T(\d)", "$1 $2").str.replace(_ZONE, "$1")
    plain = pl.when(plain.str.contains(DAYS[days])).then(plain)
    read = pl.coalesce(plain.str.to_datetime(days + time, time_unit="us", strict=False) for time in TIMES)
    return read - pl.duration(minutes=minutes.fill_null(0))


def is_bad(
    name: str, dtype: DataType, marks: Collection[str], form: Form, *, comma: bool = False, days: str = ""
) -> pl.Expr:
    """Which cells of a column hold something, but not what is of a form."""
    match form:
        case "number":
            value = numbers(name, dtype, marks, comma=comma)
            good = value.is_finite()
            if dtype.is_integer() or is_text(dtype):
                digits = named(name).cast(pl.String).str.strip_chars().str.contains(LONG)
                good &= ~(digits & (value.abs() >= LONGEST_INTEGER))
        case "boolean":
            good = truths(name, dtype, marks).is_not_null()
        case "date":
            good = moments(name, dtype, marks, days).is_not_null()
    return words(name, dtype, marks).is_not_null() & ~good.fill_null(value=False)


def days_of(text: pl.Series) -> list[str]:
    """The ways of writing dates, of `DAYS`, in which most of these texts make sense; the best first."""
    if 2 * text.str.contains(_DAY).sum() <= len(text):
        return []
    frame = text.rename("text").to_frame()
    read = frame.select(moments("text", pl.String(), (), each).count().alias(each) for each in DAYS).row(0)
    best = max(read)
    return [days for days, count in zip(DAYS, read, strict=True) if count == best and 2 * count > len(text)]


def is_text(dtype: DataType) -> bool:
    """Whether a column's type is one of text."""
    return dtype in (pl.String, pl.Categorical, pl.Enum, pl.Null)


def is_moment(dtype: DataType) -> bool:
    """Whether a column's type is one of days or moments."""
    return dtype in (pl.Date, pl.Datetime)


def _numbers_among(marks: Collection[str]) -> list[float]:
    numbers = []
    for mark in marks:
        with suppress(ValueError):
            numbers.append(float(mark))
    return numbers
