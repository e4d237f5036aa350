"""Prediction sets: classes of which one is the true class with a given probability.

A set has the classes that are at least as probable as a threshold: the smallest sets on average (Sadinle,
Lei & Wasserman 2019). The most likely class is always in it.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float64

from mlplab.runs.conformal.intervals import LEVEL
from mlplab.runs.conformal.residuals import Column, Residuals

Probabilities = Float64[np.ndarray, "row class"]

Sets = Bool[np.ndarray, "row class"]


def lowest_probability(residuals: Sequence[Residuals], level: float = LEVEL) -> float:
    """The probability from which on a class is in the sets."""
    return 1 - float(residuals[0].quantile(np.zeros(1), level)[0])


def sets_of(predicted: Probabilities, lowest: float) -> Sets:
    """Which classes are in the set of each row."""
    return predicted >= np.minimum(lowest, predicted.max(1, keepdims=True))


def set_scores(
    sets: Sets, y: Float64[np.ndarray, "row 1"], weight: Column | None, level: float = LEVEL
) -> dict[str, float]:
    """The share of the rows whose class is in their set, and the mean number of classes in it.

    Their names are such as `coverage_0.9` and `set_size_0.9`.
    """
    covered = np.take_along_axis(sets, y.astype(np.int64), 1)[:, 0]
    scores = {"coverage": covered, "set_size": sets.sum(1)}
    return {f"{name}_{level:g}": float(np.average(value, weights=weight)) for name, value in scores.items()}
