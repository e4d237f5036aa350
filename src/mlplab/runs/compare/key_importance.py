"""How much each key matters for the scores of runs: as much as a chart of the score over the key shows."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

GROUPS = 4
"""Groups of neighbouring numbers that are compared: quarters of the runs."""

FEWEST = 12
"""Runs below which chance alone often explains more than half of the differences, so that nothing is said."""

RARELY = 0.05
"""How often a key without any effect exceeds what is called chance."""


class KeyImportance(NamedTuple):
    """The share of the differences between runs that goes with a key alone, and what may be chance."""

    share: float
    chance: float


def key_importance(
    scores: Sequence[float], values: Mapping[str, Sequence[float | int | str]]
) -> dict[str, KeyImportance]:
    """How much goes with each key; empty for fewer than `FEWEST` runs.

    The share is η²_H, an effect size of the Kruskal-Wallis test (Tomczak & Tomczak 2014): the variance
    between groups of values, less what chance would explain, as a share of the whole. It compares the ranks
    of the scores, or a few very bad runs would decide. What may be chance is for values that were drawn
    independently.

    Args:
        scores: of each run, the lowest is the best; infinity for a run without a score, which is the worst.
        values: of each run by key: numbers, or the texts of choices.
    """
    from scipy.special import chdtri  # type: ignore[import-untyped]

    ranks, runs = pl.Series(scores, dtype=pl.Float64).rank().to_numpy(), len(scores)
    deviations = ranks - ranks.mean()
    if runs < FEWEST or not deviations.any():
        return {}
    found = {}
    for key, column in values.items():
        cells = np.array(column)
        groups = np.unique(cells, return_inverse=True)[1]
        if cells.dtype.kind != "U" and groups.max() >= GROUPS:
            groups = np.digitize(cells, np.quantile(cells, np.arange(1, GROUPS) / GROUPS))
        counts = np.bincount(groups)
        sums, counts = np.bincount(groups, deviations)[counts > 0], counts[counts > 0]
        explained = (runs - 1) * float((sums**2 / counts).sum() / (deviations**2).sum())
        freedom, left = max(1, len(counts) - 1), max(1, runs - len(counts))
        shares = (explained - freedom) / left, (float(chdtri(freedom, RARELY)) - freedom) / left
        found[key] = KeyImportance(*(min(1.0, max(0.0, share)) for share in shares))
    return found
