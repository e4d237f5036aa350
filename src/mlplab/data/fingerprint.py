"""Hashes of rows, to recognise them in other tables."""

import numpy as np
from jaxtyping import Float, Float64, Int64

BLOCK = 65_536
"""Rows hashed at a time."""

MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
"""2⁶⁴ over the golden ratio, rounded to an odd number, so that products of different factors differ."""


def row_hashes(
    x: Float[np.ndarray, "row feature"], y: Float64[np.ndarray, "row target"]
) -> Int64[np.ndarray, " row"]:
    """A hash of each row's features and targets.

    Equal rows have equal hashes, in any table; different rows have equal hashes about once in 2⁶⁴ pairs.
    """
    hashes = np.empty(len(x), np.int64)
    for start in range(0, len(x), BLOCK):
        rows = slice(start, start + BLOCK)
        block = np.hstack([x[rows].astype(np.float64), y[rows]]) + 0.0  # turns -0 into 0
        block[np.isnan(block)] = np.nan  # the same bits for all missing values
        mixed = np.zeros(len(block), np.uint64)
        for column in np.ascontiguousarray(block.T).view(np.uint64):
            mixed = (mixed ^ column) * MULTIPLIER
            mixed ^= mixed >> np.uint64(29)
        hashes[rows] = mixed.view(np.int64)
    return hashes
