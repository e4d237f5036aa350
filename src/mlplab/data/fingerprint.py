"""Hashes by which rows, and the parts of a split, are recognised later."""

from hashlib import sha256

import numpy as np
from jaxtyping import Float, Float64, Int64

from mlplab.data.splits.splitters import PARTS, Split

BLOCK = 65_536
"""Rows that are hashed together."""

MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
"""An odd number, so that products differ where factors do (2⁶⁴ over the golden ratio)."""


def row_hashes(
    x: Float[np.ndarray, "row feature"], y: Float64[np.ndarray, "row target"]
) -> Int64[np.ndarray, " row"]:
    """A hash of each row's features and targets. Equal rows have equal hashes, whatever else a table holds;
    different ones have equal hashes once in 2⁶⁴ pairs or so."""
    hashes = np.empty(len(x), np.int64)
    for start in range(0, len(x), BLOCK):
        rows = slice(start, start + BLOCK)
        block = np.hstack([x[rows].astype(np.float64), y[rows]]) + 0.0  # -0 is 0
        block[np.isnan(block)] = np.nan  # all missing values have the same bits
        mixed = np.zeros(len(block), np.uint64)
        for column in np.ascontiguousarray(block.T).view(np.uint64):
            mixed = (mixed ^ column) * MULTIPLIER
            mixed ^= mixed >> np.uint64(29)
        hashes[rows] = mixed.view(np.int64)
    return hashes


def split_fingerprint(split: Split) -> dict[str, str]:
    """A hash of the row numbers of each part."""
    return {part: sha256(getattr(split, part).astype("<i8").tobytes()).hexdigest()[:16] for part in PARTS}
