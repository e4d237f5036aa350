"""What a network must beat to earn its keep: the mean, and ridge regression."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64

from mlplab.data.splits.split import Rows
from mlplab.data.statistics import sample_rows
from mlplab.training.metrics import RegressionMetrics

PENALTIES = tuple(10.0**exponent for exponent in range(-3, 6))
"""Of which cross-validation chooses, for standardised numbers and weights with a mean of 1."""

FITTED_ROWS = (2000, 100_000)
"""Training rows that ridge regression is fitted to: between these as many as keep rows × columns² below
`FITTED_WORK`, so that it takes a second or two; of more, a random sample."""

FITTED_WORK = 5e9

MOST_CATEGORIES = 500
"""Categories of a feature that become a column each, the most frequent ones; the others share one."""

MOST_COLUMNS = 2000
"""Columns that the categories of all features may become."""

BLOCK = 8192
"""Rows that are predicted together."""

Scores = dict[str, float]
X = Float[np.ndarray, "row feature"]
Y = Float64[np.ndarray, "row target"]
Weight = Float[np.ndarray, " row"]


class Baselines:
    """Predictors fitted to the training rows of a table.

    Rows of weight 0 are left out.

    Args:
        x: numbers, and codes of categories; NaN is a missing value.
        weight: what each row counts; None: all the same.
        rows: the training rows.
        categories: of each feature how many categories it has, 0 for numbers.
    """

    def __init__(self, x: X, y: Y, weight: Weight | None, rows: Rows, categories: Sequence[int]) -> None:
        if weight is not None:
            rows = rows[weight[rows] > 0]
        counts = None if weight is None else weight[rows].astype(np.float64)
        self.mean = np.average(y[rows], 0, counts)
        columns = sum(min(size, MOST_CATEGORIES) if size else 2 for size in categories)
        fitted = sample_rows(rows, int(np.clip(FITTED_WORK / columns**2, *FITTED_ROWS)))
        self.ridge = ridge(categories)
        counts = None if weight is None else weight[fitted] / weight[fitted].mean(dtype=np.float64)
        self.ridge.fit(x[fitted], y[fitted], ridgecv__sample_weight=counts)

    def scores(self, x: X, y: Y, weight: Weight | None, rows: Rows) -> dict[str, Scores]:
        """rmse, mae and r2 of each, for rows of a table with the same features."""
        blocks = (rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK))
        predicted = np.concatenate([self.ridge.predict(x[block]).reshape(len(block), -1) for block in blocks])
        counts = None if weight is None else weight[rows]
        return {
            "ridge": scores(predicted.astype(np.float64), y[rows], counts),
            "mean": scores(np.tile(self.mean, (len(rows), 1)), y[rows], counts),
        }


def ridge(categories: Sequence[int]) -> Any:
    """A scikit-learn pipeline, whose penalty is chosen by leave-one-out cross-validation for each target.

    Missing numbers become the median and have an indicator, numbers are standardised, categories one-hot.
    """
    from sklearn.compose import ColumnTransformer  # here, as it takes a second
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers, coded = ([f for f, n in enumerate(categories) if bool(n) == kind] for kind in (False, True))
    most = min(MOST_CATEGORIES, max(2, MOST_COLUMNS // max(1, len(coded))))
    imputer = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    columns = ColumnTransformer(
        [
            ("numbers", make_pipeline(imputer, StandardScaler()), numbers),
            ("categories", OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=most), coded),
        ],
        sparse_threshold=1.0,
    )
    return make_pipeline(columns, RidgeCV(PENALTIES, alpha_per_target=True))


def scores(predicted: Y, y: Y, weight: Weight | None) -> Scores:
    """rmse, mae and r2 as of networks, means over targets."""
    errors = RegressionMetrics(1, y.shape[1])
    counts = None if weight is None else torch.from_numpy(weight)[None, :, None]
    errors.update(torch.from_numpy(predicted)[None], torch.from_numpy(y)[None], counts)
    return {name: float(value.mean()) for name, value in errors.compute().items()}
