"""What kind a column is of, by what its cells say."""

from typing import Literal

import polars as pl

from mlplab.data.dates import date_formats
from mlplab.data.parse import TRUTH

TextKind = Literal["numeric", "date", "boolean", "categorical", "identifier", "constant", "empty"]
"""Of a column of texts; the first two are none of text, but were not known to be others."""

FEW = 20
"""Distinct texts that are categories even if most rows have one of their own."""

DRESSED = r"^[€$£¥]?\s?[+−-]?[€$£¥]?(?:[1-9]\d{0,2}(?:[.,'’ \u00a0\u202f]\d{3})+|\d+)(?:[.,]\d+)?\s?[%€$£¥]?$"
"""A number as people write it: with a sign of percent or currency, thousands set apart, a decimal comma."""


def kind_of_text(texts: pl.Series, filled: int, rows: int) -> TextKind:
    """The kind of a column by its distinct texts.

    It is taken for one of numbers, or of dates, if more than half of them are: what is wrong with the others
    is for the user to say. Numbers that only people can read count too: they are no categories.

    Args:
        texts: the distinct ones, without what stands for a missing value.
        filled: rows with a value.
        rows: all rows.
    """
    distinct = len(texts)
    if distinct == 0:
        return "empty"
    plain = texts.cast(pl.Float64, strict=False).is_finite()
    if 2 * plain.sum() > distinct or 2 * plain.fill_null(texts.str.contains(DRESSED)).sum() > distinct:
        return "numeric"
    if date_formats(texts):
        return "date"
    if distinct == 1 and filled == rows:
        return "constant"
    if set(texts.str.to_lowercase()) <= TRUTH.keys():
        return "boolean"
    if distinct == filled > 1 or (distinct > FEW and 2 * distinct > filled):
        return "identifier"
    return "categorical"
