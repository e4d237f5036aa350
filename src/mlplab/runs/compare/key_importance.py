"""How much each key matters for the scores of runs: as much as a chart of the score over the key shows."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

GROUPS = 4
"""Groups of neighbouring numbers that are compared: quarters of the runs."""

FEWEST = 12
"""Runs below which chance alone often explains more than half of the differences, so that nothing is said."""

CHI_SQUARE = 7.815
"""The 95% quantile of the χ² distribution with `GROUPS` − 1 degrees of freedom."""


def key_importance(
    scores: Sequence[float], values: Mapping[str, Sequence[float | int | str]]
) -> dict[str, float]:
    """The share of the differences between runs that goes with each key alone; empty for fewer than `FEWEST`.

    It is ε², the effect size of the Kruskal-Wallis test (Tomczak & Tomczak 2014): the variance between
    groups of values, less what chance would explain, as a share of the whole. It compares the ranks of the
    scores, or a few very bad runs would decide.

    Args:
        scores: of each run, the lowest is the best; infinity for a run without a score, which is the worst.
        values: of each run by key: numbers, or the texts of choices.
    """
    ranks, runs = pl.Series(scores, dtype=pl.Float64).rank().to_numpy(), len(scores)
    deviations = ranks - ranks.mean()
    if runs < FEWEST or not deviations.any():
        return {}
    shares = {}
    for key, column in values.items():
        cells = np.array(column)
        groups = np.unique(cells, return_inverse=True)[1]
        if cells.dtype.kind != "U":
            groups = np.digitize(cells, np.quantile(cells, np.arange(1, GROUPS) / GROUPS))
        counts = np.bincount(groups)
        sums, counts = np.bincount(groups, deviations)[counts > 0], counts[counts > 0]
        unexplained = 1 - float((sums**2 / counts).sum() / (deviations**2).sum())
        shares[key] = max(0.0, 1 - unexplained * (runs - 1) / max(1, runs - len(counts)))
    return shares


def largest_by_chance(runs: int) -> float:
    """The share that a key without any effect rarely (1 time in 20) exceeds, if it is one of numbers."""
    return min(1.0, (CHI_SQUARE - (GROUPS - 1)) / max(1, runs - GROUPS))
