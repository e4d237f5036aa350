"""Notes about whole numbers that may be codes, though their column's name does not say so."""

import re
from collections.abc import Iterator
from math import sqrt

import numpy as np
from jaxtyping import Float

from mlplab.data.infer.column_names import TIME_WORDS
from mlplab.data.infer.table_spec import typed
from mlplab.data.leaks.target_leaks import Encoded, encoded_targets, weighted_rows
from mlplab.data.splits.split import Rows, sample_rows
from mlplab.data.table import Table

MOST_VALUES = 2_000_000  # rows × columns × outputs, of more of which a random sample of rows is used
FEWEST_LEVELS = 30  # which occur at least twice

# By how many standard errors, and by which share of their variance, means have to differ from those of
# their neighbours: on 256 real tables, these let codes pass and hardly anything else.
STANDARD_ERRORS, SHARE = 20, 0.5


def hidden_codes(table: Table, train: Rows) -> Iterator[tuple[str, str]]:
    """The names of columns whose whole numbers predict the targets one by one, as codes do, and notes.

    A year is not named, as all of its rows may have something in common.
    """
    schema = table.schema
    rows = sample_rows(weighted_rows(table, train), MOST_VALUES // (table.x.shape[1] * schema.outputs))
    x, y = table.x[rows], encoded_targets(table, rows)
    for column, part in zip(schema.inputs, schema.feature_slices, strict=True):
        if column.kind != "numeric" or column.format or re.search(f"(?i){TIME_WORDS}|hour", column.name):
            continue
        values = x[:, part.start].astype(np.float64) + column.offset
        known = ~np.isnan(values)
        if (values == np.floor(values))[known].all() and _are_apart(values[known], y[known]):
            codes, numbers = typed(column.name, "categorical"), typed(column.name, "numeric")
            what = f"column '{column.name}': each of its whole numbers seems to have an effect of its own"
            yield column.name, f"{what}; if they are codes: {codes} ({numbers} removes this line)"


def _are_apart(values: Float[np.ndarray, " row"], y: Encoded) -> bool:
    """Whether the means of y at each level are far from a smooth function of the levels.

    If it were smooth, the squares of d = mean − (mean before + mean after) / 2 would be, on average, their
    variance σ²(1/n + (1/n′ + 1/n″) / 4), where σ² is that within levels (cf. von Neumann et al. 1941).
    """
    level, n = np.unique(values, return_inverse=True, return_counts=True)[1:]
    if len(n) < FEWEST_LEVELS:
        return False
    means = np.stack([np.bincount(level, output) / n for output in y.T], 1)
    squares = np.bincount(level, ((y - means[level]) ** 2).sum(1))
    repeat = n > 1
    n, means, squares = n[repeat], means[repeat], squares[repeat]
    if (count := len(n)) < FEWEST_LEVELS:
        return False
    d = means[1:-1] - (means[:-2] + means[2:]) / 2
    shares = 1 / n[1:-1] + (1 / n[:-2] + 1 / n[2:]) / 4
    # The mean variance, or that of all rows: a frequent level, or rare ones, may have a small one.
    variance = max((squares / (n - 1)).mean(), squares.sum() / (n - 1).sum(), 1e-300)
    ratio = ((d**2).sum(1) / shares).mean() / variance
    is_rough = (d**2).sum(1).mean() > SHARE * means.var(0).sum()
    return bool(is_rough and ratio - 1 > STANDARD_ERRORS * sqrt(2.5 / count))
