"""The rows that baselines are fitted to: how many, and with which weights."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Float64

from mlplab.conformal.intervals import Levels
from mlplab.data.splits.split import Rows, sample_rows
from mlplab.data.table import Table

FITTED_ROWS = (2000, 100_000)
"""Smallest and largest number of training rows for linear models. In between, their work (rows × columns² for
ridge, 100 × rows × columns × classes for logistic regression) stays below `FITTED_WORK`, which takes a second
or two. If there are more rows, a random sample is used."""

FITTED_WORK = 5e9

BOOSTED_VALUES, FEWEST_BOOSTED = 10**7, 2000
"""Largest number of training rows × features × outputs for gradient boosting, which takes up to half a minute
of one core; and the least number of rows in the random sample that is used if there are more."""

MAX_CATEGORIES = 500
"""Number of most frequent categories of a feature that get their own column; the others share a column."""

X = Float[np.ndarray, "row feature"]
Output = Float64[np.ndarray, "row output"]
Weights = Float64[np.ndarray, " row"] | None


@dataclass(frozen=True)
class TrainingData:
    """Rows of a table that baselines are fitted to, and rows by which hyperparameters are chosen.

    Attributes:
        quantiles: the levels of the quantiles that are predicted; none: the targets, or classes.
    """

    table: Table
    train: Rows
    val: Rows
    quantiles: Levels = ()

    @property
    def classes(self) -> int:
        """The number of classes; 0 for regression."""
        return len(self.table.schema.classes)

    @property
    def joined(self) -> "TrainingData":
        """All rows of train and val to train on, and none to choose by."""
        return replace(self, train=np.sort(np.concatenate([self.train, self.val])), val=self.val[:0])

    def usable(self, name: str) -> "TrainingData":
        """The rows for a baseline: a sample if there are too many, and none with weight 0.

        Validation rows of classes that no training row has are left out. If none is left, the training rows
        take their place.
        """
        y, weight = self.table.y, self.table.weight
        train, val = (
            sample_rows(rows if weight is None else rows[weight[rows] > 0], self.most_rows(name))
            for rows in (self.train, self.val)
        )
        if self.classes:
            val = val[np.isin(y[val, 0], y[train, 0])]
        return replace(self, train=train, val=val if len(val) else train)

    def part(self, rows: Rows) -> tuple[X, Output, Weights]:
        """The features, targets (or numbers of classes) and weights of some rows.

        The mean weight is 1, so that penalties do not depend on the unit of weights.
        """
        table, weights = self.table, None
        if table.weight is not None:
            weights = table.weight[rows].astype(np.float64)
            weights /= weights.mean()
        return table.x[rows], table.y[rows], weights

    def features(self, *, coded: bool) -> list[int]:
        """The features that are categories, or those that are numbers."""
        sizes = self.table.schema.category_counts
        return [feature for feature, size in enumerate(sizes) if bool(size) == coded]

    def most_rows(self, name: str) -> int:
        """The number of rows that a baseline is fitted to at most."""
        categories = self.table.schema.category_counts
        if name == "linear":  # a number may get an indicator column
            columns = sum(min(size, MAX_CATEGORIES) if size else 2 for size in categories)
            work = columns * (100 * self.classes or columns)
            return int(np.clip(FITTED_WORK / work, *FITTED_ROWS))
        if name == "boosting":
            outputs = self.classes if self.classes > 2 else len(self.quantiles) or self.table.y.shape[1]
            return max(FEWEST_BOOSTED, BOOSTED_VALUES // (len(categories) * outputs))
        return len(self.table.x)
