"""How a column's kind is decided: by its role and declaration, by its type, or by its texts."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

import polars as pl

from mlplab.config.data import is_number_format
from mlplab.data.cells.dates import ISO, date_formats, is_datetime, mixed_formats, parse_datetime
from mlplab.data.cells.number_formats import FORMATTED, are_durations, number_formats
from mlplab.data.cells.parse import BOOLEANS, DataType, Kind
from mlplab.data.infer.table_spec import typed
from mlplab.data.io.source import Source
from mlplab.errors import Fault, UserError, refusal, shortened

InferredKind = Literal[Kind, "identifier", "text", "constant", "empty", "row number", "row index", "drop"]
"""The kind that users see. Only the first five kinds are inputs."""

WORDS = 5
"""The mean number of words from which texts that hardly repeat are free text."""

MAX_CATEGORIES = 20
"""Largest number of distinct texts that are categories even if most rows have different texts."""


def known_kind(name: str, declared: str, dtype: DataType) -> tuple[Kind | None, str]:
    """The kind of a column and its format; no kind if it depends on its texts.

    The user declares the kind or format, or it follows from the role.

    Raises:
        UserError: if the date format is invalid.
    """
    if is_number_format(declared):
        return "numeric", declared
    if "%" in declared:
        try:
            parse_datetime(pl.Series(["?"]), (), declared)
            codes = declared.replace("%#z", "%z").replace("%q", "")  # which only parsing knows
            pl.Series([datetime.now(UTC)]).dt.strftime(codes)  # parsing ignores unknown codes
        except pl.exceptions.PolarsError as error:
            what = f"is not a date format: {str(error).partition(chr(10))[0]}"
            raise refusal(what, typed(name, declared), "use codes of strptime, as in %Y-%m-%d") from error
        return "date", declared
    match declared:
        case "numeric" | "boolean" | "categorical":
            return declared, ""
        case "ordinal":  # as text, until all its levels are known
            return "categorical", ""
    if declared == "date" or is_datetime(dtype):
        return "date", ISO if is_datetime(dtype) else ""
    if dtype == pl.Boolean:
        return "boolean", ""
    return ("numeric" if dtype.is_numeric() else None), ""


def infer_kind(texts: pl.Series, filled: int, rows: int) -> InferredKind:
    """The kind of a column of text: the first that accepts its distinct texts.

    If more than half of the texts are numbers, or dates, all others are mistakes for the user to correct.
    Numbers with thousands separators, percent or currency signs also count, and durations. Of all `rows`,
    `filled` have a value.
    """
    distinct = len(texts)
    if distinct == 0:
        return "empty"
    plain = texts.cast(pl.Float64, strict=False).is_finite()
    are_numbers = plain if 2 * plain.sum() > distinct else plain.fill_null(texts.str.contains(FORMATTED))
    if 2 * are_numbers.sum() > distinct or are_durations(texts):
        return "numeric"
    if date_formats(texts):
        return "date"
    if distinct == 1 and filled == rows:
        return "constant"
    if set(texts.str.to_lowercase()) <= BOOLEANS.keys():
        return "boolean"
    if distinct == filled > 1 or (distinct > MAX_CATEGORIES and 2 * distinct > filled):
        words = texts.str.count_matches(r"\S+").sum()
        return "text" if words >= WORDS * distinct else "identifier"
    return "categorical"


def format_of(kind: Kind, texts: pl.Series, source: Source, name: str) -> str:
    """The format of these distinct texts of a kind; empty if it has none.

    Raises:
        UserError: if it is unknown or ambiguous.
    """
    if kind == "date":
        return date_format_of(texts, source.where, name)
    return number_format_of(texts, source, name) if kind == "numeric" else ""


def number_format_of(texts: pl.Series, source: Source, name: str) -> str:
    """The format of numbers in text; empty if they are plain.

    Raises:
        UserError: if several match.
    """
    decimal = source.dialect.options.decimal if source.dialect else None
    formats = number_formats(texts, decimal, decimal_comma=source.decimal_comma)
    if len(formats) < 2:
        return next(iter(formats), "")
    point, comma = (typed(name, number_format) for number_format in formats)
    example = texts.filter(texts.str.contains(r"[.,]\d{3}\D*$"))[0]
    mark, thousands, decimals, everywhere = "point", comma, point, "'data.decimal=\",\"'"
    if "," in example:
        mark, thousands, decimals, everywhere = "comma", point, comma, "data.decimal=."
    what = f"a {mark} may mark decimals or thousands"
    more = f", or {everywhere} for all columns" if source.dialect else ""
    remedy = f"for thousands: {thousands}{more}; for decimals: {decimals}"
    remedy += f"; if these are no numbers: {typed(name, 'categorical')}"
    raise UserError(Fault(what, f"{source.where}, column '{name}'", shortened(example), remedy=remedy))


def date_format_of(texts: pl.Series, where: str, name: str) -> str:
    """The format of dates in text.

    Raises:
        UserError: if no known format matches, or several do.
    """
    formats, example = date_formats(texts), shortened(texts[0]) if len(texts) else "nothing"
    if len(formats) == 1:
        return formats[0]
    what, mixed = "contains no dates of a known format", mixed_formats(texts) or formats
    remedy = f"declare their format, as in {typed(name, '%d.%m.%Y')}, or write them as 2024-01-31"
    if mixed:
        what = "day and month cannot be distinguished" if formats else "contains dates in several formats"
        remedy = f"declare {typed_formats(name, mixed)}"
    raise UserError(Fault(what, f"{where}, column '{name}'", example, remedy=remedy))


def typed_formats(name: str, formats: Sequence[str]) -> str:
    """The arguments that declare a date format: there are two if day and month cannot be distinguished."""
    return " or, if the month comes first, ".join(typed(name, date_format) for date_format in formats)
