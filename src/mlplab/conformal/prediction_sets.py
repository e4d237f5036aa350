"""Prediction sets: classes of which one is the true class with a given probability.

A set has the classes that are at least as probable as a threshold: the smallest sets on average (Sadinle,
Lei & Wasserman 2019). The most likely class is always in it.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float64

from mlplab.conformal.intervals import LEVEL, Y
from mlplab.conformal.residuals import Column, Residuals

Probabilities = Float64[np.ndarray, "row class"]

Sets = Bool[np.ndarray, "row class"]

STANDARD_ERRORS = 5
"""How far below the level the coverage of a class must be, so that chance is no reason even for few rows."""


def lowest_probability(residuals: Sequence[Residuals], level: float = LEVEL) -> float:
    """The probability from which on a class is in the sets."""
    return 1 - float(residuals[0].quantile(np.zeros(1), level)[0])


def sets_of(predicted: Probabilities, lowest: float) -> Sets:
    """Which classes are in the set of each row."""
    return predicted >= np.minimum(lowest, predicted.max(1, keepdims=True))


def set_scores(sets: Sets, y: Float64[np.ndarray, "row 1"]) -> dict[str, Column]:
    """Whether each row's class is in its set, and the number of classes in it."""
    covered = np.take_along_axis(sets, y.astype(np.int64), 1)[:, 0]
    return {"coverage": covered.astype(np.float64), "set_size": sets.sum(1).astype(np.float64)}


def rarely_covered(covered: Column, y: Y, weight: Column | None, level: float) -> dict[int, float]:
    """The coverage of each class whose sets fail at least twice as often as the level says, by its number."""
    numbers = y[:, 0].astype(np.int64)
    weight = np.ones(len(y)) if weight is None else weight
    rows, squares, inside = (np.bincount(numbers, each) for each in (weight, weight**2, weight * covered))
    with np.errstate(invalid="ignore"):  # of classes without rows
        share, error = inside / rows, np.sqrt(level * (1 - level) * squares) / rows
    far = level - share >= np.maximum(1 - level, STANDARD_ERRORS * error)
    return {number: float(share[number]) for number in np.flatnonzero(far).tolist()}
