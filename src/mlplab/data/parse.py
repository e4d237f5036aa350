"""The cells of a column as text, numbers or booleans; null where one is missing or cannot be read.

A table to train on, a file to predict and a frame in memory are all read by these functions. Most cells need
no more than a cast, so the careful look at spaces and at words for missing values is for the others.
"""

from collections.abc import Callable, Collection
from contextlib import suppress
from functools import partial
from itertools import product
from math import isnan
from typing import TYPE_CHECKING, Literal

import polars as pl
import polars.selectors as cs

if TYPE_CHECKING:
    from polars import DataType as DataType
else:
    DataType = object  # whose checks at run time do not understand polars' class

NOTHING = ("", "nan", "-nan", "+nan", "na", "n/a", "null")
"""What a cell says, in lower case and without spaces, that holds no value."""

NA_VALUES = sorted(
    {"".join(each) for word in NOTHING for each in product(*zip(word, word.upper(), strict=True))}
)
"""`NOTHING` in lower, upper and mixed case."""

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

NO_ROWS = pl.Series(dtype=pl.UInt32)

HEAD = 1000
"""Cells at the beginning of a column that show whether its texts repeat."""


def named(name: str) -> pl.Expr:
    """The column of that name; `pl.col` would take some names for patterns."""
    return cs.by_name(name).as_expr()


def cells_of(frame: pl.DataFrame, name: str) -> pl.Series:
    """A column without its name, since one such as ^x$ is a pattern to methods of a series."""
    return frame.get_column(name).alias("")


def parse_str(cells: pl.Series, na_values: Collection[str]) -> pl.Series:
    """As text without spaces around it; whole numbers without a decimal point, as other files have them.

    Args:
        na_values: words for a missing value beside the usual ones, or numbers, however they are written.
    """
    return by_distinct(partial(_parse_str, na_values=na_values), cells)


def parse_float(cells: pl.Series, na_values: Collection[str], *, decimal_comma: bool = False) -> pl.Series:
    """As Float64. In text a number may be infinite; one that is missing is null."""
    if not is_text(cells.dtype):
        return _without(cells.cast(pl.Float64), na_values)
    text = cells.cast(pl.String)
    values = _without(_cast_float(text, decimal_comma=decimal_comma), na_values)
    if values.null_count() == text.null_count() and not _any_nan(values):
        return values
    rest = (text.is_not_null() & (values.is_null() | values.is_nan())).arg_true()
    stripped = _strip(text.gather(rest), na_values)
    return values.scatter(rest, _cast_float(stripped, decimal_comma=decimal_comma))


def plain_floats(text: pl.Series) -> pl.Series | None:
    """Text as Float64, if nothing but finite numbers and nulls are there, with all their digits."""
    head = text.head(HEAD)  # which tells of most columns of words
    if head.cast(pl.Float64, strict=False).null_count() > head.null_count():
        return None
    values = text.cast(pl.Float64, strict=False)
    plain = _all_moderate(values) and values.null_count() == text.null_count() and not _any_nan(values)
    return values if plain else None


def parse_bool(cells: pl.Series, na_values: Collection[str]) -> pl.Series:
    """As Float64: 1 for true and 0 for false."""
    if not is_text(cells.dtype):
        values = parse_float(cells, na_values)
        return values.set(~values.is_in(list(TRUTH.values())), None)

    def parse(text: pl.Series) -> pl.Series:
        lower = _parse_str(text, na_values).str.to_lowercase()
        return lower.replace_strict(TRUTH, default=None, return_dtype=pl.Float64)

    return by_distinct(parse, cells)


def by_distinct(parse: Callable[[pl.Series], pl.Series], cells: pl.Series) -> pl.Series:
    """What `parse` makes of the cells as text: each distinct text once, if they repeat."""
    text = cells.cast(pl.String)
    if not repeat(text):
        return parse(text)
    distinct = text.unique(maintain_order=True).drop_nulls()
    parsed = parse(distinct)
    return text.replace_strict(distinct, parsed, default=None, return_dtype=parsed.dtype)


def repeat(text: pl.Series) -> bool:
    """Whether the texts of a column repeat, by its beginning."""
    head = text.head(HEAD)
    return 2 * head.n_unique() <= len(head)


def bad_cells(cells: pl.Series, values: pl.Series, na_values: Collection[str], form: Form) -> pl.Series:
    """The rows whose cells hold something, but not what is of a form.

    Args:
        values: the cells as that form.
    """
    if values.null_count() == cells.null_count() and (form != "number" or _all_moderate(values)):
        return NO_ROWS
    bad = cells.is_not_null() & values.is_null()
    may_be_long = form == "number" and (is_text(cells.dtype) or cells.dtype.is_integer())
    if form == "number":
        bad |= cells.is_not_null() & ~values.is_finite().fill_null(value=True)
    if may_be_long:
        bad |= (values.abs() >= LONGEST_INTEGER).fill_null(value=False)
    rows = bad.arg_true()
    text = cells.gather(rows).cast(pl.String).str.strip_chars()
    bad = parse_str(text, na_values).is_not_null()
    if may_be_long:  # a large number with an exponent or a point is good
        bad &= ~values.gather(rows).is_finite().fill_null(value=False) | text.str.contains(LONG)
    return rows.filter(bad)


def is_text(dtype: DataType) -> bool:
    """Whether a column's type is one of text."""
    return dtype in (pl.String, pl.Categorical, pl.Enum, pl.Null)


def _all_moderate(values: pl.Series) -> bool:
    """Whether no number is infinite, or so large that as an integer it may have more than 64 bits."""
    low, high = values.min(), values.max()
    if not isinstance(low, float) or not isinstance(high, float):  # all are null
        return True
    return -LONGEST_INTEGER < low <= high < LONGEST_INTEGER


def _any_nan(values: pl.Series) -> bool:
    """Whether there may be one; unlike a look at each, a sum costs next to nothing."""
    return isnan(values.sum())


def _parse_str(text: pl.Series, na_values: Collection[str]) -> pl.Series:
    text = _strip(text, na_values)
    if text.str.contains(".0", literal=True).any():
        text = text.str.replace(r"^([+-]?\d+)\.0+$", "$1")
    return text


def _strip(text: pl.Series, na_values: Collection[str]) -> pl.Series:
    """Without spaces, null for a missing value."""
    text = text.str.strip_chars()
    missing = text.is_in([*NA_VALUES, *na_values])
    if absent := _numbers_among(na_values):
        missing |= text.cast(pl.Float64, strict=False).is_in(absent).fill_null(value=False)
    return text.set(missing, None)


def _cast_float(text: pl.Series, *, decimal_comma: bool) -> pl.Series:
    if decimal_comma:  # then a point sets thousands apart, and would make others of them
        text = text.set(text.str.contains(".", literal=True), None).str.replace(",", ".", literal=True)
    return text.cast(pl.Float64, strict=False)


def _without(values: pl.Series, na_values: Collection[str]) -> pl.Series:
    """Numbers, null where one stands for a missing value."""
    absent = _numbers_among(na_values)
    return values.set(values.is_in(absent), None) if absent else values


def _numbers_among(na_values: Collection[str]) -> list[float]:
    numbers = []
    for value in na_values:
        with suppress(ValueError):
            numbers.append(float(value))
    return numbers
