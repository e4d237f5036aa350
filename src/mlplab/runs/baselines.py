"""Baselines that a network should beat: the mean, and ridge regression."""

from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from jaxtyping import Float, Float64

from mlplab.data.cache import RunData
from mlplab.data.splits.split import Rows
from mlplab.data.statistics import sample_rows
from mlplab.training.metrics import RegressionMetrics

PENALTIES = tuple(10.0**exponent for exponent in range(-3, 6))
"""Candidate penalties for cross-validation, for standardized numbers and weights with mean 1."""

FITTED_ROWS = (2000, 100_000)
"""Smallest and largest number of training rows for ridge regression. In between, rows × columns² stays below
`FITTED_WORK`, which takes a second or two. If there are more rows, a random sample is used."""

FITTED_WORK = 5e9

MAX_CATEGORIES = 500
"""Number of most frequent categories of a feature that get their own column; the others share a column."""

MAX_COLUMNS = 2000
"""Largest number of columns for the categories of all features."""

BLOCK = 8192
"""Rows that are predicted at a time."""

Scores = dict[str, float]
X = Float[np.ndarray, "row feature"]
Y = Float64[np.ndarray, "row target"]
Weight = Float[np.ndarray, " row"]

_FITTED: WeakKeyDictionary[RunData, "Baselines"] = WeakKeyDictionary()
_TEST_SCORES: WeakKeyDictionary[RunData, dict[str, Scores]] = WeakKeyDictionary()


class Baselines:
    """Baselines fitted to the training rows of a table; rows with weight 0 are left out.

    Args:
        x: numbers, and codes of categories; NaN is a missing value.
        y: the targets.
        weight: the weight of each row; None: all equal.
        rows: the training rows.
        categories: the number of categories of each feature; 0 for numbers.
    """

    def __init__(self, x: X, y: Y, weight: Weight | None, rows: Rows, categories: Sequence[int]) -> None:
        if weight is not None:
            rows = rows[weight[rows] > 0]
        weights = None if weight is None else weight[rows].astype(np.float64)
        self.mean = np.average(y[rows], 0, weights)
        columns = sum(min(size, MAX_CATEGORIES) if size else 2 for size in categories)
        fitted = sample_rows(rows, int(np.clip(FITTED_WORK / columns**2, *FITTED_ROWS)))
        self.ridge = ridge(categories)
        weights = None if weight is None else weight[fitted] / weight[fitted].mean(dtype=np.float64)
        self.ridge.fit(x[fitted], y[fitted], ridgecv__sample_weight=weights)

    def scores(self, x: X, y: Y, weight: Weight | None, rows: Rows) -> dict[str, Scores]:
        """The rmse, mae and r2 of each baseline on rows of a table with the same features."""
        blocks = (rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK))
        predicted = np.concatenate([self.ridge.predict(x[block]).reshape(len(block), -1) for block in blocks])
        weights = None if weight is None else weight[rows]
        return {
            "ridge": scores(predicted.astype(np.float64), y[rows], weights),
            "mean": scores(np.tile(self.mean, (len(rows), 1)), y[rows], weights),
        }


def baselines(data: RunData) -> Baselines:
    """The baselines for a table and a split, fitted only once."""
    if data not in _FITTED:
        table, rows = data.table, data.split.train
        _FITTED[data] = Baselines(table.x, table.y, table.weight, rows, table.schema.categories)
    return _FITTED[data]


def baseline_test_scores(data: RunData) -> dict[str, Scores]:
    """The scores of the baselines on the test rows, computed only once."""
    if data not in _TEST_SCORES:
        table = data.table
        _TEST_SCORES[data] = baselines(data).scores(table.x, table.y, table.weight, data.split.test)
    return _TEST_SCORES[data]


def ridge(categories: Sequence[int]) -> Any:
    """A scikit-learn pipeline for ridge regression.

    Leave-one-out cross-validation chooses the penalty of each target. Missing numbers are imputed by
    the median, with an indicator column. Numbers are standardized, categories are one-hot encoded.
    """
    from sklearn.compose import ColumnTransformer  # imported here since it takes a second
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers, coded = ([f for f, n in enumerate(categories) if bool(n) == kind] for kind in (False, True))
    most = min(MAX_CATEGORIES, max(2, MAX_COLUMNS // max(1, len(coded))))
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
    """The rmse, mae and r2 of predictions; means over targets."""
    metrics = RegressionMetrics(1, y.shape[1])
    weights = None if weight is None else torch.from_numpy(weight)[None, :, None]
    metrics.update(torch.from_numpy(predicted)[None], torch.from_numpy(y)[None], weights)
    return {name: float(value.mean()) for name, value in metrics.compute().items()}
