"""How a column's kind is decided: by its role and declaration, by its type, or by its texts.

Odd texts among numbers are signs for a missing value such as `?`, or categories: `3+`, `136A` or `rotary`.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

import numpy as np
import polars as pl
from jaxtyping import Float

from mlplab.config.data import is_number_format
from mlplab.data.cells.dates import ISO, date_formats, is_datetime, mixed_formats, parse_datetime
from mlplab.data.cells.number_formats import FORMATTED, are_durations, number_formats
from mlplab.data.cells.parse import BOOLEANS, INFINITE, INT64_LIMIT, LONG_INTEGER, MISSING, DataType, Kind
from mlplab.data.infer.table_spec import typed
from mlplab.data.io.source import Source
from mlplab.errors import Fault, UserError, refusal, shortened

InferredKind = Literal[Kind, "identifier", "text", "constant", "empty", "row number", "row index", "drop"]
"""The kind that users see. Only the first five kinds are inputs."""

# Largest number of distinct texts that are categories even if most rows have different texts.
MAX_CATEGORIES = 20

NUMBER = rf"(?i){FORMATTED}|{LONG_INTEGER}|^{INFINITE}$"  # a number that cannot be read, which is no category


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
        case "numeric" | "boolean":
            return declared, ""
        case "categorical" | "ordinal":  # as text, until all levels are known
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
        return "text" if words >= 5 * distinct else "identifier"
    return "categorical"


def format_of(kind: Kind, texts: pl.Series, source: Source, name: str) -> str:
    """The format of these distinct texts of a kind; empty if it has none, as plain numbers.

    Raises:
        UserError: if no known format matches, or several do.
    """
    where = f"{source.where}, column '{name}'"
    if kind == "date":
        formats, example = date_formats(texts), shortened(texts[0]) if len(texts) else "nothing"
        if len(formats) == 1:
            return formats[0]
        what, mixed = "contains no dates of a known format", mixed_formats(texts) or formats
        remedy = f"declare their format, as in {typed(name, '%d.%m.%Y')}, or write them as 2024-01-31"
        if mixed:
            what = "day and month cannot be distinguished" if formats else "contains dates in several formats"
            remedy = f"declare {typed_formats(name, mixed)}"
        raise UserError(Fault(what, where, example, remedy=remedy))
    decimal = source.dialect.options.decimal if source.dialect else None
    possible = number_formats(texts, decimal, decimal_comma=source.decimal_comma) if kind == "numeric" else ()
    if len(possible) < 2:
        return next(iter(possible), "")
    point, comma = (typed(name, number_format) for number_format in possible)
    example = texts.filter(texts.str.contains(r"[.,]\d{3}\D*$"))[0]
    mark, thousands, decimals, everywhere = "point", comma, point, "'data.decimal=\",\"'"
    if "," in example:
        mark, thousands, decimals, everywhere = "comma", point, comma, "data.decimal=."
    what = f"a {mark} may mark decimals or thousands"
    more = f", or {everywhere} for all columns" if source.dialect else ""
    remedy = f"for thousands: {thousands}{more}; for decimals: {decimals}"
    remedy += f"; if these are no numbers: {typed(name, 'categorical')}"
    raise UserError(Fault(what, where, shortened(example), remedy=remedy))


def typed_formats(name: str, formats: Sequence[str]) -> str:
    """The arguments that declare a date format: there are two if day and month cannot be distinguished."""
    return " or, if the month comes first, ".join(typed(name, date_format) for date_format in formats)


def can_be_typed(texts: pl.Series) -> bool:
    """Whether a message can ask to type these texts."""
    return len(texts) <= 10 and bool(texts.str.join().str.contains(r"^[^\p{C}\p{Zl}\p{Zp}]{1,200}$").all())


def is_rare(cells: int, rows: int) -> bool:
    """Whether so few cells may be missing values, whatever word stands there."""
    return cells <= max(1, 0.05 * rows)


def may_be_categories(texts: pl.Series, values: Float[np.ndarray, " row"]) -> bool:
    """Whether a few values repeat, and these texts beside them: `0, 1, 2, 3+`, or codes such as `136A`.

    Among the `values`, missing cells are NaN, and cells with these texts infinite.
    """
    if texts.str.contains(MISSING).all() or texts.str.contains(NUMBER).any():
        return False
    distinct = len(np.unique(values[np.isfinite(values)])) + len(texts)
    repeat = 2 * distinct <= int((~np.isnan(values)).sum())
    return distinct <= MAX_CATEGORIES or (repeat and bool(texts.str.contains(r"\d").any()))


def are_categories(texts: pl.Series, codes: Float[np.ndarray, " row"]) -> bool:
    """Whether all texts of a column of numbers are clearly categories: few, or codes like `136A`.

    The odd texts must repeat, as typing mistakes rarely do, and be no words for a missing value. If `none` is
    frequent, it is a level. `codes` are the positions of the texts, or NaN.
    """
    _, counts = np.unique(codes[~np.isnan(codes)], return_counts=True)
    numbers = texts.cast(pl.Float64, strict=False)
    is_odd, cells = ~numbers.is_finite().fill_null(value=False), int(counts.sum())
    twice = 2 * numbers.filter(~is_odd)
    odd, texts = int(counts[is_odd.to_numpy()].sum()), texts.filter(is_odd)
    if not odd or (twice != twice.floor()).any() or (numbers.abs() >= 2 * INT64_LIMIT).any():
        return False  # measured, not counted, or integers of more than 64 bits
    distinct = len(twice) + len(texts)
    if not is_rare(odd, cells):
        texts = texts.filter(texts.str.to_lowercase() != "none")
    if texts.str.contains(MISSING).any() or texts.str.contains(NUMBER).any() or 2 * distinct > cells:
        return False
    # A capped count is a category even if it occurs once, and so is a word among few cells: `rotary` in 90.
    known = r"^([<>≤≥]=? ?\d+|\d+ ?\+)$" + r"|^\p{L}{3,}$" * (odd >= 0.01 * cells)
    if odd < 2 * len(texts) and not texts.str.contains(known).all():
        return False
    # Among many numbers, `5 kg` would be no category, and neither would `<0.5`.
    return distinct <= MAX_CATEGORIES or bool(texts.str.contains(r"^(\d+\p{L}|\p{L}\d+)$").all())
