"""Sentinel values: numbers such as -999 that stand for missing values."""

import re
from collections.abc import Iterable, Mapping
from math import ceil, log10

import numpy as np
from jaxtyping import Float

from mlplab.data.infer.table_spec import typed_na_values
from mlplab.errors import listed

NINES = re.compile(r"-9|-?9[9.]*9")
"""What data sheets write for a missing value, -99.9 too; a single 9 is too common a count."""

FEWEST = 3
"""Other values that a column must have, or it may hold codes such as -1, 0 and 1."""

APART = 3
"""How many times the largest gap between the other values the gap next to a sentinel must be."""

BLOCK = 2.5
"""How far below 99 and the like further sentinels may be, which give other reasons: 97 and 98."""


def sentinels(values: Float[np.ndarray, " row"], low: float, high: float, offset: float) -> dict[str, int]:
    """The likely sentinel values of a column as users type them, and how many cells hold each.

    A sentinel is the smallest or the largest value, occurs more than once, and is -1 or made of 9s. If
    negative, it is the only negative value or lies apart from the others. If positive, it lies apart, and is
    either far from the others or more frequent than its neighbour, unlike the largest of a few large values.

    Args:
        values: the column without its offset; NaN is missing.
        low: its smallest value, in its own units.
        high: its largest.
    """
    typed = {end: _typed(end, offset) for end in (low, high)}
    ends = [end for end, text in typed.items() if text == "-1" or NINES.fullmatch(text)]
    if not ends:  # nearly always, and nothing needs sorting
        return {}
    distinct, counts = np.unique(values[~np.isnan(values)], return_counts=True)
    distinct = distinct.astype(np.float64) + offset
    blocks = [np.abs(distinct - end) < (BLOCK if abs(end) > 9 else 1e-3) for end in ends]
    others = ~np.any(blocks, axis=0)
    if others.sum() < FEWEST:
        return {}
    found: dict[str, int] = {}
    for end, block in zip(ends, blocks, strict=True):
        nearest = np.abs(np.where(others, distinct, np.inf) - end).argmin()
        gap = np.abs(distinct[block] - distinct[nearest]).min()
        span, widest = np.ptp(distinct[others]), np.diff(distinct[others]).max()
        if end < 0 and end == low:
            likely = distinct[nearest] >= 0 or gap >= APART * widest
        else:
            likely = gap >= APART * widest and (gap >= span or counts[block].sum() > counts[nearest])
        if likely and counts[block].sum() > 1:
            texts = (_typed(value, offset) for value in distinct[block].tolist())
            found |= dict(zip(texts, counts[block].tolist(), strict=True))
    return found


def sentinel_note(found: Mapping[str, int], na_values: Iterable[str], *, drop_rows: bool) -> str:
    """A note about sentinels.

    Args:
        na_values: what to declare, for this column and all others: one key holds for all.
        drop_rows: whether rows must be left out where the value is missing.
    """
    cells = listed(f"{text} in {count:,} cells" for text, count in found.items())
    typed = typed_na_values(na_values) + " data.missing_target=drop" * drop_rows
    return f"{cells} may stand for a missing value; if so: {typed} (in all columns)"


def _typed(value: float, offset: float) -> str:
    """A number with only the digits that float32 keeps without the offset."""
    digits = -ceil(log10(4 * np.spacing(np.float32(abs(value - offset)))))
    return f"{round(value, digits):.7g}"
