"""Sentinel values: numbers such as -999 that stand for missing values, found by how they lie among others."""

import re
from math import ceil, log10

import numpy as np
from jaxtyping import Float

NINES = re.compile(r"-9|-?9[9.]*9")
"""What data sheets write for what was not measured, -99.9 too; a single 9 is too common a count."""

FEWEST = 3
"""Different values that a column must have besides, or it may be one of codes such as -1, 0 and 1."""

APART = 3
"""Times the largest gap between the other values, that the gap beside a sentinel has at least."""

BLOCK = 2.5
"""How far below 99 and the like others may be that tell reasons apart: 97 and 98."""


def sentinels(values: Float[np.ndarray, " row"], low: float, high: float, offset: float) -> dict[str, int]:
    """The likely sentinel values of a column, as they are typed, and how many cells hold each.

    Such a one is the smallest or the largest value, occurs more than once, and is -1 or made of 9s. A
    negative one is the only negative value, or lies apart from the others. A positive one lies apart, and far
    from them or more frequent than the one next to it, as the last of a few large values seldom is.

    Args:
        values: the column, its offset taken off, NaN where a value is missing.
        low: its smallest value, in its own units.
        high: its largest.
    """
    written = {end: _written(end, offset) for end in (low, high)}
    ends = [end for end, text in written.items() if text == "-1" or NINES.fullmatch(text)]
    if not ends:  # nearly always, so that nothing need be sorted
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
            texts = (_written(value, offset) for value in distinct[block].tolist())
            found |= dict(zip(texts, counts[block].tolist(), strict=True))
    return found


def _written(value: float, offset: float) -> str:
    """A number without digits that float32 has not kept of it, its offset taken off."""
    digits = -ceil(log10(4 * np.spacing(np.float32(abs(value - offset)))))
    return f"{round(value, digits):.7g}"
