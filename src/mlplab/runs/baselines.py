"""What a network must beat to earn its keep: the mean, and ridge regression."""

import numpy as np
from jaxtyping import Float64

from mlplab.data.schema import deviation
from mlplab.data.split import Split

RIDGE_PENALTY = 1.0
"""On standardised inputs, as scikit-learn's default."""

Scores = dict[str, float]
X = Float64[np.ndarray, "row feature"]
Y = Float64[np.ndarray, " row"]


def baselines(x: X, y: Y, split: Split) -> dict[str, Scores]:
    """Test rmse, mae and r2 of predictors fitted to the training rows."""
    train, test = split.train, split.test
    predictions = {
        "ridge": ridge(x[train], y[train], x[test]),
        "mean": np.full(len(test), y[train].mean()),
    }
    return {name: scores(predicted, y[test]) for name, predicted in predictions.items()}


def ridge(x: X, y: Y, new: Float64[np.ndarray, "new feature"]) -> Float64[np.ndarray, " new"]:
    """Predictions for `new` of the linear model with the least Σ(y − xw − b)² + penalty·|w|²."""
    mean, scale = x.mean(0), deviation(x)
    standard = (x - mean) / scale
    gram = standard.T @ standard + RIDGE_PENALTY * np.eye(x.shape[1])
    weights = np.linalg.solve(gram, standard.T @ (y - y.mean()))
    return (new - mean) / scale @ weights + y.mean()


def scores(predicted: Y, y: Y) -> Scores:
    """Root mean squared error, mean absolute error, and coefficient of determination."""
    error, spread = predicted - y, y - y.mean()
    return {
        "rmse": float(np.sqrt(np.mean(error**2))),
        "mae": float(np.mean(np.abs(error))),
        "r2": float(1 - (error @ error) / (spread @ spread)) if spread.any() else float("nan"),
    }
