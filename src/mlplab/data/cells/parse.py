"""Parses the cells of a column as text, numbers or booleans; null if missing or unreadable.

Training tables, files to predict and frames in memory are all parsed by these functions. Most cells need
only a cast; the rest are stripped and compared with the words for missing values.
"""

import re
from collections.abc import Callable, Collection
from math import isnan
from typing import TYPE_CHECKING, Literal

import polars as pl
import polars.selectors as cs

if TYPE_CHECKING:
    from polars import DataType as DataType
else:
    DataType = object  # the run-time type checker does not understand polars' class

Kind = Literal["numeric", "boolean", "categorical", "ordinal", "date"]  # the kind of an input column

BAD_CELLS: dict[Kind, tuple[str, str]] = {
    "numeric": ("is not a finite number", "a number such as 1176.2"),
    "boolean": ("is neither true nor false", "true or false"),
    "date": ("is not a date like the others", "a date such as 2024-01-31"),
}
"""What is wrong with a cell, but for what `fault_of` adds, and what was expected."""

WITH_UNIT = re.compile(r"([+-]?\d{1,20}(?:[.,]\d{1,20}){0,5})(?:\s|(?=\D\D))(°?[^\W\d_]\D{0,20})")
"""A number with its unit. Without a space, one letter may also be part of a code: 136A."""

WORDS = re.compile(r"(?i)(?![+-]?inf(inity)?$)\D{0,60}[^\W\d_]\D{0,60}")

LONG_INTEGER = r"^[+-]?\d{19,}$"
"""An integer that may need more than 64 bits: usually an identifier, and a float would lose its digits."""

INFINITE = r"[+-]?(inf|infinity|\d[\d.]*e\+?\d{3,})"
MISSING = (
    rf"(?i)^([^\p{{L}}\p{{N}}]*|{INFINITE}|[#<>()\[\]!. ]*(n/a|na|n\.a|n/d|nd|nan|nat|nil|none|null|\\n|div/0"
    r"|missing|unknown|undefined|not available|not applicable)[#<>()\[\]!. ]*)$"
)
"""A sign or a word for a missing value, or an infinite number, or one too large for a float."""

INT64_LIMIT = 2.0**63

BOOLEANS = {"true": 1.0, "false": 0.0}

NO_ROWS = pl.Series(dtype=pl.UInt32)

HEAD = 1000  # number of first cells of a column that are checked for repeated texts


def named(name: str) -> pl.Expr:
    """The column with exactly this name; `pl.col` reads some names as patterns."""
    return cs.by_name(name).as_expr()


def cells_of(frame: pl.DataFrame, name: str) -> pl.Series:
    """A column without its name, because Series methods read a name such as ^x$ as a pattern."""
    return frame.get_column(name).alias("")


def parse_str(cells: pl.Series, na_values: Collection[str]) -> pl.Series:
    """Parses cells as text without surrounding spaces; 2.0 becomes 2.

    Args:
        na_values: additional missing values: words, or numbers in any notation.
    """

    def parse(text: pl.Series) -> pl.Series:
        text = strip(text, na_values)
        is_plain = not text.str.contains(".0", literal=True).any()  # nearly always, and faster to find out
        return text if is_plain else text.str.replace(r"^([+-]?\d+)\.0+$", "$1")

    return by_distinct(parse, cells)


def codes_of(cells: pl.Series, na_values: Collection[str], dtype: DataType) -> pl.Series:
    """The codes of text as Float64, by a type of categories that has them; null if missing or unknown."""

    def codes(text: pl.Series) -> pl.Series:
        return parse_str(text, na_values).cast(dtype, strict=False).to_physical().cast(pl.Float64)

    return by_distinct(codes, cells)


def parse_float(cells: pl.Series, na_values: Collection[str], *, decimal_comma: bool = False) -> pl.Series:
    """Parses cells as Float64; text may contain infinite numbers."""

    def parse(text: pl.Series) -> pl.Series:
        if decimal_comma:  # a point then separates thousands: casting it would give another number
            text = text.set(text.str.contains(".", literal=True), None).str.replace(",", ".", literal=True)
        return text.cast(pl.Float64, strict=False)

    is_number, na_numbers = not is_text(cells.dtype), numbers_among(na_values)
    values = cells.cast(pl.Float64) if is_number else parse(cells.cast(pl.String))
    values = values.set(values.is_in(na_numbers), None) if na_numbers else values
    if is_number or (values.null_count() == cells.null_count() and not has_nan(values)):
        return values
    return parse_rest(values.fill_nan(None), cells, lambda raw: parse(strip(raw.cast(pl.String), na_values)))


def plain_floats(text: pl.Series) -> pl.Series | None:
    """Text as Float64 if it contains only nulls and finite numbers that lose no digits."""
    head = text.head(HEAD)  # enough to reject most columns of words
    if head.cast(pl.Float64, strict=False).null_count() > head.null_count():
        return None
    values = text.cast(pl.Float64, strict=False)
    plain = _within_int64(values) and values.null_count() == text.null_count() and not has_nan(values)
    return values if plain else None


def parse_bool(cells: pl.Series, na_values: Collection[str]) -> pl.Series:
    """Parses cells as Float64: 1 for true and 0 for false."""
    if not is_text(cells.dtype):
        values = parse_float(cells, na_values)
        return values.set(~values.is_in(list(BOOLEANS.values())), None)

    def parse(text: pl.Series) -> pl.Series:
        lower = parse_str(text, na_values).str.to_lowercase()
        return lower.replace_strict(BOOLEANS, default=None, return_dtype=pl.Float64)

    return by_distinct(parse, cells)


def by_distinct(parse: Callable[[pl.Series], pl.Series], cells: pl.Series) -> pl.Series:
    """Applies `parse` to the cells as text; if texts repeat, only to the distinct ones."""
    text = cells.cast(pl.String)
    head = text.head(HEAD)
    if 2 * head.n_unique() > len(head):
        return parse(text)
    distinct = text.unique(maintain_order=True).drop_nulls()
    parsed = parse(distinct)
    return text.replace_strict(distinct, parsed, default=None, return_dtype=parsed.dtype)


def parse_rest(parsed: pl.Series, cells: pl.Series, parse: Callable[[pl.Series], pl.Series]) -> pl.Series:
    """What is `parsed`, and the cells that are not, as another function parses them."""
    rest = (parsed.is_null() & cells.is_not_null()).arg_true()
    return parsed.scatter(rest, parse(cells.gather(rest))) if len(rest) else parsed


def bad_cells(cells: pl.Series, values: pl.Series, na_values: Collection[str], kind: Kind) -> pl.Series:
    """The rows whose cells are neither missing nor of this kind, of which `values` are the parsed cells."""
    numeric = kind == "numeric"
    if values.null_count() == cells.null_count() and (not numeric or _within_int64(values)):
        return NO_ROWS
    may_be_long = numeric and not cells.dtype.is_decimal()
    good = values.abs() < INT64_LIMIT if may_be_long else values.is_not_null()
    rows = (cells.is_not_null() & ~good.fill_null(value=False)).arg_true()
    text = cells.gather(rows).cast(pl.String).str.strip_chars()
    bad = parse_str(text, na_values).is_not_null()
    if numeric:  # a large number with an exponent or a point is good
        has_64_bits = text.cast(pl.Int128, strict=False).is_between(-(2**63), 2**64 - 1)
        is_long = text.str.contains(LONG_INTEGER) & ~has_64_bits.fill_null(value=False)
        bad &= ~values.gather(rows).is_finite().fill_null(value=False) | is_long
    return rows.filter(bad)


def fault_of(text: str, kind: Kind) -> str:
    """What is wrong with a text without surrounding spaces that is no cell of this kind."""
    if kind == "numeric" and re.fullmatch(LONG_INTEGER, text):
        return "is an integer of more than 64 bits"
    if kind == "numeric" and (parts := WITH_UNIT.fullmatch(text)):
        return f"is a number with a unit, {parts[2]!r}"
    return "is a text, not a number" if kind == "numeric" and WORDS.fullmatch(text) else BAD_CELLS[kind][0]


def is_text(dtype: DataType) -> bool:
    """Whether a column of this type is read as text, as times of day are, which CSV has no type for."""
    return dtype in (pl.String, pl.Categorical, pl.Enum, pl.Null, pl.Time)


def has_nan(values: pl.Series) -> bool:
    """Whether there may be a NaN, by the sum of the values, which costs almost nothing."""
    return isnan(values.sum())


def _within_int64(values: pl.Series) -> bool:
    low, high = values.min(), values.max()
    return low is None or -INT64_LIMIT < low <= high < INT64_LIMIT  # type: ignore[operator, return-value]


def strip(text: pl.Series, na_values: Collection[str]) -> pl.Series:
    """Text without surrounding spaces, null for a missing value."""
    text = text.str.strip_chars()
    missing = text.str.to_lowercase().is_in(("", "nan", "-nan", "+nan", "na", "n/a", "null"))
    if na_values:
        numbers = text.cast(pl.Float64, strict=False).is_in(numbers_among(na_values))
        missing |= text.is_in([*na_values]) | numbers.fill_null(value=False)
    return text.set(missing, None)


def numbers_among(na_values: Collection[str]) -> list[float]:
    """The missing values that are numbers."""
    if not na_values:
        return []
    texts = pl.Series([*na_values], dtype=pl.String).str.strip_chars()
    return texts.cast(pl.Float64, strict=False).drop_nulls().to_list()
