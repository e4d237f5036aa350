"""Notes about whole numbers that may be codes, though their column's name does not say so."""

from math import sqrt

import numpy as np
from jaxtyping import Float

from mlplab.data.infer.table_spec import typed
from mlplab.data.splits.split import Rows, sample_rows
from mlplab.data.table import Table

MOST_VALUES = 2_000_000  # rows × columns, of more of which a sample is used
FEWEST_LEVELS = 30

# By how many standard errors, and by which share of their variance, means have to differ from those of
# their neighbours. In 256 real tables, this finds one more column of codes (of states), and one of months.
STANDARD_ERRORS, SHARE = 20, 0.5


def hidden_codes(table: Table, train: Rows) -> dict[str, str]:
    """Notes by the names of columns whose whole numbers predict the targets one by one, as codes do."""
    rows = sample_rows(train, MOST_VALUES // table.x.shape[1])
    if table.weight is not None:
        rows = rows[table.weight[rows] > 0]
    ranks, notes = table.y[rows].argsort(0).argsort(0).astype(np.float64), dict[str, str]()
    y = (
        np.equal.outer(table.y[rows, 0], range(len(table.schema.classes))) * 1.0
        if table.schema.classes
        else ranks
    )
    for column, part in zip(table.schema.inputs, table.schema.feature_slices, strict=True):
        values = table.x[rows, part.start].astype(np.float64) + column.offset
        known = ~np.isnan(values)
        is_plain = (
            column.kind == "numeric" and not column.format and (values == np.floor(values))[known].all()
        )
        if is_plain and (levels := _levels_apart(values[known], y[known])):
            what = f"column '{column.name}': each of its {levels:,} whole numbers has an effect of its own"
            silenced = f"{typed(column.name, 'numeric')} removes this line"
            notes[column.name] = (
                f"{what}; if they are codes: {typed(column.name, 'categorical')} ({silenced})"
            )
    return notes


def _levels_apart(values: Float[np.ndarray, " row"], y: Float[np.ndarray, "row output"]) -> int:
    """The number of levels, if the means of y at these are far from a smooth function of them; else 0.

    If it were smooth, the squares of d = mean − (mean before + mean after) / 2 would be, on average, their
    variance σ²(1/n + (1/n′ + 1/n″) / 4), where σ² is that within levels (cf. von Neumann et al. 1941).
    """
    levels, level, n = np.unique(values, return_inverse=True, return_counts=True)
    count, more = len(levels), len(values) - len(levels)
    if count < FEWEST_LEVELS or more < count / 2:
        return 0
    means = np.stack([np.bincount(level, output) / n for output in y.T], 1)
    d = means[1:-1] - (means[:-2] + means[2:]) / 2
    variance = 1 / n[1:-1] + (1 / n[:-2] + 1 / n[2:]) / 4
    ratio = (d**2).sum(1) / variance / max((y - means[level]).var(0).sum() * len(values) / more, 1e-300)
    is_rough = (d**2).sum(1).mean() > SHARE * means.var(0).sum()
    return count if is_rough and ratio.mean() - 1 > STANDARD_ERRORS * sqrt(2.5 / count) else 0
