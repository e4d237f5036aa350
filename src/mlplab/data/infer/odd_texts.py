"""Odd texts among numbers: signs for a missing value such as `?`, or categories: `3+`, `136A` or `rotary`."""

import numpy as np
import polars as pl
from jaxtyping import Float

from mlplab.data.cells.number_formats import FORMATTED
from mlplab.data.cells.parse import INFINITE, LONG_INTEGER, MISSING
from mlplab.data.infer.infer_kind import MAX_CATEGORIES
from mlplab.data.infer.inferred_column import InferredColumn

NUMBER = rf"(?i){FORMATTED}|{LONG_INTEGER}|^{INFINITE}$"
"""A number that cannot be read, which is no category."""

CODE = r"^(\d+\p{L}|\p{L}\d+)$"
"""A number with a letter. Among many numbers, `5 kg` would be no category, and neither would `<0.5`."""

CAPPED = r"^([<>≤≥]=? ?\d+|\d+ ?\+)$"
"""A capped count, which is a category even if it occurs once."""

WORD = r"^\p{L}{3,}$"

MIN_WORD_SHARE = 0.01
"""The smallest share of cells from which a word that occurs once is no mistake: `rotary` in 90 rows."""

MAX_MISSING_SHARE = 0.05
"""The largest share of cells with words of unknown meaning that may be missing values."""

TYPEABLE = r"^[^\p{C}\p{Zl}\p{Zp}]{1,200}$"

MAX_NAMED = 10
"""The largest number of texts that a message asks to type."""


def can_be_typed(texts: pl.Series) -> bool:
    """Whether a message can ask to type these texts."""
    return len(texts) <= MAX_NAMED and bool(texts.str.join().str.contains(TYPEABLE).all())


def is_rare(cells: int, rows: int) -> bool:
    """Whether so few cells may be missing values, whatever word stands there."""
    return cells <= max(1, MAX_MISSING_SHARE * rows)


def may_be_categories(column: InferredColumn, values: Float[np.ndarray, " row"]) -> bool:
    """Whether a few values repeat, some of them not numbers: `0, 1, 2, 3+`, or codes such as `136A`."""
    texts, is_number = column.bad_texts, column.role in ("input", "target") and column.kind == "numeric"
    if not is_number or texts.str.contains(MISSING).all() or texts.str.contains(NUMBER).any():
        return False
    distinct = len(np.unique(values[np.isfinite(values)])) + len(texts)  # bad cells are infinite
    has_digits = bool(texts.str.contains(r"\d").any())
    return distinct <= MAX_CATEGORIES or (has_digits and 2 * distinct <= column.filled + column.bad)


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
    if not odd or (twice != twice.floor()).any():
        return False  # measured, not counted
    distinct = len(twice) + len(texts)
    if not is_rare(odd, cells):
        texts = texts.filter(texts.str.to_lowercase() != "none")
    if texts.str.contains(MISSING).any() or texts.str.contains(NUMBER).any() or 2 * distinct > cells:
        return False
    known = f"{CAPPED}|{WORD}" if odd >= MIN_WORD_SHARE * cells else CAPPED
    if odd < 2 * len(texts) and not texts.str.contains(known).all():
        return False
    return distinct <= MAX_CATEGORIES or bool(texts.str.contains(CODE).all())
