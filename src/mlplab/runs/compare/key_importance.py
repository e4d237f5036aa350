"""How much each key matters for the scores of runs: as much as a chart of the score over the key shows."""

from collections.abc import Mapping, Sequence

import numpy as np

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
    from scipy.stats import chi2, kruskal  # type: ignore[import-untyped]

    of_runs, runs = np.array(scores, np.float64), len(scores)
    if runs < FEWEST or (of_runs == of_runs[0]).all():
        return {}
    importance = {}
    for key, column in values.items():
        cells = np.array(column)
        if cells.dtype.kind != "U" and len(np.unique(cells)) > GROUPS:
            cells = np.digitize(cells, np.quantile(cells, np.arange(1, GROUPS) / GROUPS))
        groups = [of_runs[cells == cell] for cell in np.unique(cells)]
        explained = kruskal(*groups).statistic if len(groups) > 1 else 0.0
        freedom, left = max(1, len(groups) - 1), max(1, runs - len(groups))
        share, chance = ((most - freedom) / left for most in (explained, chi2.isf(0.05, freedom)))
        importance[key] = min(1.0, max(0.0, float(share))), min(1.0, max(0.0, float(chance)))
    return importance
