"""What a network must beat to earn its keep: the mean, and ridge regression."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float, Float64

from mlplab.data.split import Rows, Split
from mlplab.training.metrics import Errors

RIDGE_PENALTY = 1.0
"""On standardised inputs, as scikit-learn's default."""

ONE_HOT = 64
"""Categories of a column up to which each becomes a column; of more each becomes its mean target."""

WIDEST = 2000
"""Columns that categories may become in all; beyond it features with many become mean targets."""

SMOOTHING = 10.0
"""Rows with the mean of all that are added to a category's own for its mean target."""

MEDIAN_ROWS = 200_000
"""Evenly spaced training rows of which medians are taken, at most."""

BLOCK = 8192
"""Rows that are in memory as float64 at a time."""

Scores = dict[str, float]
X = Float[np.ndarray, "row feature"]
Y = Float64[np.ndarray, "row target"]
Weight = Float[np.ndarray, " row"]


def baselines(
    x: X, y: Y, weight: Weight | None, split: Split, categories: Sequence[int]
) -> dict[str, Scores]:
    """Test rmse, mae and r2 of predictors fitted to the training rows.

    Args:
        x: numbers, and codes of categories; NaN is a missing value.
        weight: what each row counts; None: all the same.
        categories: of each feature how many categories it has, 0 for numbers.
    """
    ridge, test = Ridge(x, y, weight, split.train, categories), split.test
    counts = None if weight is None else weight[test]
    return {
        "ridge": scores(ridge.predict(x, test), y[test], counts),
        "mean": scores(np.tile(ridge.y_mean, (len(test), 1)), y[test], counts),
    }


def scores(predicted: Y, y: Y, weight: Weight | None) -> Scores:
    """rmse, mae and r2 as of networks, means over targets."""
    errors = Errors(1, y.shape[1])
    counts = None if weight is None else torch.from_numpy(weight)[None, :, None]
    errors.update(torch.from_numpy(predicted)[None], torch.from_numpy(y)[None], counts)
    return {name: float(value.mean()) for name, value in errors.compute().items()}


class Ridge:
    """The linear model with the least Σw(y − xb − a)² + penalty·|b|² over rows, x standardised by them.

    x are the table's columns as `Columns` gives them.
    """

    def __init__(self, x: X, y: Y, weight: Weight | None, rows: Rows, categories: Sequence[int]) -> None:
        counts = np.broadcast_to(1.0, len(y)) if weight is None else weight
        rows = rows[counts[rows] > 0]
        self.columns = Columns(x, y, counts, rows, categories)
        self.y_mean, total = self.columns.y_mean, counts[rows].sum(dtype=np.float64)
        first = self.columns(x[rows[:1]])[0]  # so that what does not vary is exactly 0
        self.mean = (
            first + sum(counts[part] @ (self.columns(x[part]) - first) for part in _blocks(rows)) / total
        )
        gram, moment = np.zeros((len(first), len(first))), np.zeros((len(first), y.shape[1]))
        for part in _blocks(rows):
            centred = self.columns(x[part]) - self.mean
            weighted = centred.T * counts[part]
            gram += weighted @ centred
            moment += weighted @ (y[part] - self.y_mean)
        variance = np.diag(gram) / total
        scale = np.where(variance > 0, np.sqrt(variance), 1.0)
        gram = gram / np.outer(scale, scale) + RIDGE_PENALTY * np.eye(len(scale))
        self.slopes = np.linalg.solve(gram, moment / scale[:, None]) / scale[:, None]

    def predict(self, x: X, rows: Rows) -> Float64[np.ndarray, "predicted target"]:
        """Predictions for rows of a table."""
        parts = [(self.columns(x[part]) - self.mean) @ self.slopes for part in _blocks(rows)]
        return np.concatenate(parts) + self.y_mean


class Columns:
    """A table's features as columns of a linear model, by what its rows `rows` say of them.

    Numbers, missing ones as their median; for each feature that is missing in some row, whether it is;
    categories one-hot, those of features with many as their smoothed mean targets.
    """

    def __init__(self, x: X, y: Y, weight: Weight, rows: Rows, categories: Sequence[int]) -> None:
        sample = rows[:: -(-len(rows) // MEDIAN_ROWS)]
        self.is_number = np.array([count == 0 for count in categories])
        self.medians = np.array(
            [
                0.0 if count else _median(x[sample, feature], weight[sample])
                for feature, count in enumerate(categories)
            ]
        )
        most = _most_one_hot(categories)
        self.gaps = np.zeros(len(categories), dtype=bool)
        total = np.zeros(1 + y.shape[1])
        # of each category, and at last of a missing one: what rows and targets sum up to
        many = {
            feature: np.zeros((count + 1, len(total)))
            for feature, count in enumerate(categories)
            if count > most
        }
        for part in _blocks(rows):
            counted = np.column_stack([np.ones(len(part)), y[part]]) * weight[part, None]
            total += counted.sum(0)
            self.gaps |= np.isnan(x[part]).any(0)
            for feature, sums in many.items():
                np.add.at(sums, _codes(x[part, feature], len(sums) - 1), counted)
        self.y_mean = total[1:] / total[0]
        # what stands for each category, and at last for a missing one
        self.of_codes: dict[int, Float64[np.ndarray, "code column"]] = {
            feature: np.eye(count + 1, count) for feature, count in enumerate(categories) if 0 < count <= most
        }
        for feature, sums in many.items():
            sums[-1] = 0
            self.of_codes[feature] = (sums[:, 1:] + SMOOTHING * self.y_mean) / (sums[:, :1] + SMOOTHING)

    def __call__(self, x: X) -> Float64[np.ndarray, "row column"]:
        """The columns of some rows."""
        gaps = np.isnan(x)
        return np.hstack(
            [
                np.where(gaps, self.medians, x)[:, self.is_number],
                gaps[:, self.gaps],
                *(codes[_codes(x[:, feature], len(codes) - 1)] for feature, codes in self.of_codes.items()),
            ]
        )


def _most_one_hot(categories: Sequence[int]) -> int:
    """How many categories a feature may have for each to become a column."""
    total = 0
    for count in sorted(count for count in categories if 0 < count <= ONE_HOT):
        total += count
        if total > WIDEST:
            return count - 1
    return ONE_HOT


def _codes(values: Float[np.ndarray, " row"], missing: int) -> Rows:
    return np.where(np.isnan(values), missing, values).astype(np.int64)


def _median(values: Float[np.ndarray, " row"], weight: Weight) -> float:
    """The weighted median of what is not missing; 0 if all is."""
    order = np.argsort(values)[: np.count_nonzero(~np.isnan(values))]  # NaN come last
    if len(order) == 0:
        return 0.0
    below = np.cumsum(weight[order], dtype=np.float64)
    middle = [np.searchsorted(below, below[-1] / 2, side) for side in ("left", "right")]
    return float(values[order[middle]].mean(dtype=np.float64))


def _blocks(rows: Rows) -> Iterator[Rows]:
    return (rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK))
