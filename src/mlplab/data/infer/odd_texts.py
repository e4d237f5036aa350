"""Odd texts among numbers: signs for a missing value such as `?`, or categories: `3+`, `136A` or `rotary`."""

import polars as pl

from mlplab.data.cells.number_formats import FORMATTED
from mlplab.data.cells.parse import LONG_INTEGER
from mlplab.data.infer.infer_kind import MAX_CATEGORIES

_INFINITE = r"[+-]?(inf|infinity|\d[\d.]*e\+?\d{3,})"
_WORDS = (
    r"n/a|na|n\.a|n/d|nd|nan|nat|nil|none|null|\\n|div/0"
    "|missing|unknown|undefined|not available|not applicable"
)
MISSING = rf"(?i)^([^\p{{L}}\p{{N}}]*|[#<>()\[\]!. ]*({_WORDS})[#<>()\[\]!. ]*|{_INFINITE})$"
"""A sign or a word for a missing value, or an infinite number, or one too large for a float."""

NUMBER = rf"(?i){FORMATTED}|{LONG_INTEGER}|^{_INFINITE}$"
"""A number that cannot be read, which is no category."""

CODE = r"^(\d+\p{L}|\p{L}\d+)$"
"""A number with a letter. Among many numbers, `5 kg` would be no category, and neither would `<0.5`."""

NO_SLIP = r"^([<>≤≥]=? ?\d+|\d+ ?\+)$"
"""A capped count, which is a category even if it occurs once; a word may be a mistake."""

MAX_MISSING_SHARE = 0.05
"""The largest share of cells with words of unknown meaning that may be missing values."""

TYPEABLE = r"^[^\p{C}\p{Zl}\p{Zp}]{1,60}$"

MAX_NAMED = 10
"""The largest number of texts that a message asks to type."""


def can_be_typed(texts: pl.Series) -> bool:
    """Whether a message can ask to type these texts."""
    return len(texts) <= MAX_NAMED and bool(texts.str.contains(TYPEABLE).all())


def is_rare(cells: int, rows: int) -> bool:
    """Whether so few cells may be missing values, whatever word stands there."""
    return cells <= max(1, MAX_MISSING_SHARE * rows)


def may_be_categories(texts: pl.Series, distinct: int, cells: int) -> bool:
    """Whether all values are categories, of which some look like numbers.

    The odd `texts` are among `distinct` values in `cells`.
    """
    if texts.str.contains(MISSING).all() or texts.str.contains(NUMBER).any():
        return False
    return distinct <= MAX_CATEGORIES or (bool(texts.str.contains(r"\d").any()) and 2 * distinct <= cells)


def are_categories(texts: pl.Series, odd: int, distinct: int, cells: int) -> bool:
    """Whether all values are clearly categories: few, or codes like `136A`.

    The odd texts, in `odd` cells, must repeat, as typing mistakes rarely do, and be no words for a missing
    value. If `none` is frequent, it is a level.
    """
    if not is_rare(odd, cells):
        texts = texts.filter(texts.str.to_lowercase() != "none")
    if texts.str.contains(MISSING).any() or texts.str.contains(NUMBER).any() or 2 * distinct > cells:
        return False
    if odd < 2 * len(texts) and not texts.str.contains(NO_SLIP).all():
        return False
    return distinct <= MAX_CATEGORIES or bool(texts.str.contains(CODE).all())
