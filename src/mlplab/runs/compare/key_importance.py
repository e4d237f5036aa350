"""How much each key matters for the scores of runs: as much as a chart of the score over the key shows."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

GROUPS = 4
"""Groups of neighbouring numbers that are compared: quarters of the runs."""

FEWEST = 12
"""Runs below which chance alone often explains more than half of the differences, so that nothing is said."""


def key_importance(
    scores: Sequence[float], values: Mapping[str, Sequence[float | int | str]]
) -> dict[str, tuple[float, float]]:
    """The share of the differences between runs that goes with each key alone, and what may be chance.

    Empty for fewer than `FEWEST` runs. The share is η²_H, an effect size of the Kruskal-Wallis test (Tomczak
    & Tomczak 2014): the variance between groups of values, less what chance would explain, as a share of the
    whole. It compares the ranks of the scores, or a few very bad runs would decide. A key without any effect
    rarely (1 time in 20) has more than what may be chance, if its values were drawn independently.

    Args:
        scores: of each run, the lowest is the best; infinity for a run without a score, which is the worst.
        values: of each run by key: numbers, or the texts of choices.
    """
    from scipy.special import chdtri  # type: ignore[import-untyped]

    ranks, runs = pl.Series(scores, dtype=pl.Float64).rank().to_numpy(), len(scores)
    deviations = ranks - ranks.mean()
    if runs < FEWEST or not deviations.any():
        return {}
    importance = {}
    for key, column in values.items():
        cells = np.array(column)
        groups = np.unique(cells, return_inverse=True)[1]
        if cells.dtype.kind != "U" and groups.max() >= GROUPS:
            groups = np.digitize(cells, np.quantile(cells, np.arange(1, GROUPS) / GROUPS))
        counts = np.bincount(groups)
        sums, counts = np.bincount(groups, deviations)[counts > 0], counts[counts > 0]
        explained = (runs - 1) * float((sums**2 / counts).sum() / (deviations**2).sum())
        freedom, left = max(1, len(counts) - 1), max(1, runs - len(counts))
        share, chance = ((most - freedom) / left for most in (explained, float(chdtri(freedom, 0.05))))
        importance[key] = min(1.0, max(0.0, share)), min(1.0, max(0.0, chance))
    return importance
