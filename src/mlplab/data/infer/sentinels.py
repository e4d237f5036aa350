"""Sentinel values: numbers such as -999 that stand for missing values."""

import re
from collections.abc import Iterable, Mapping
from math import ceil, log10

import numpy as np
from jaxtyping import Float

from mlplab.data.infer.table_spec import typed_na_values
from mlplab.errors import listed

NINES = re.compile(r"-9|-?9[9.]*9")
"""Typical numbers for missing values, including -99.9; a single 9 is too common as a count."""

FEWEST = 3
"""Number of other values that a column must have; otherwise it may contain codes such as -1, 0 and 1."""

APART = 3
"""Smallest ratio of the gap next to a sentinel to the largest gap between the other values."""

BLOCK = 2.5
"""Largest distance of additional sentinels (for different reasons: 97, 98) from 99 and the like."""


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
        found: the sentinels and their counts.
        na_values: the values to declare for all columns, which share one key.
        drop_rows: whether rows with a missing value must be left out.
    """
    cells = listed(f"{text} in {count:,} cells" for text, count in found.items())
    typed = typed_na_values(na_values) + " data.missing_target=drop" * drop_rows
    return f"{cells} may stand for a missing value; if so: {typed} (in all columns)"


def _typed(value: float, offset: float) -> str:
    """A number with only the digits that float32 keeps without the offset."""
    digits = -ceil(log10(4 * np.spacing(np.float32(abs(value - offset)))))
    return f"{round(value, digits):.7g}"
