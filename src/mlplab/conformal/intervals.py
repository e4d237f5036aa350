"""Prediction intervals: limits between which targets are with a given probability."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from mlplab.conformal.residuals import Column, Residuals

LEVEL = 0.9
"""The level of the intervals and sets that test rows are scored with."""

Levels = Sequence[float]
"""The levels of intervals, sets or quantiles."""

Y = Float64[np.ndarray, "row target"]

Bounds = Float64[np.ndarray, "row target limit"]
"""The lower and the upper limit of each target, in its own units."""


def highest_level(residuals: Sequence[Residuals], limits: int = 2) -> float:
    """The highest level of an interval, or of a set, which has one limit; NaN without residuals.

    An interval of a higher level would be infinite, and a set would have all classes.
    """
    return min((1 - limits / (each.rows + 1) for each in residuals), default=np.nan)


def bounds_of(residuals: Sequence[Residuals], predicted: Y, level: float = LEVEL) -> Bounds:
    """The limits around the predictions of all targets: (1 − level) / 2 of the rows are below, and above."""
    columns = zip(residuals, predicted.T, strict=True)
    shares = (1 - level) / 2, (1 + level) / 2
    limits = [[each.quantile(column, share) for share in shares] for each, column in columns]
    return np.array(limits).transpose(2, 0, 1)


def interval_scores(bounds: Bounds, y: Y, level: float = LEVEL) -> dict[str, Column]:
    """How good the intervals of each row are; means over targets.

    `coverage` is the share of targets within the limits; `width` the distance of these, in units of the
    target; `winkler` the width plus 2 / (1 − level) times the distance of a target beyond a limit (Winkler
    1972), whose mean is lowest for the true quantiles.
    """
    lower, upper = bounds[..., 0], bounds[..., 1]
    beyond = (lower - y).clip(min=0) + (y - upper).clip(min=0)
    scores = {"coverage": beyond == 0, "width": upper - lower}
    scores["winkler"] = scores["width"] + 2 / (1 - level) * beyond
    return {name: value.mean(1) for name, value in scores.items()}


def mean_scores(by_row: dict[str, Column], weight: Column | None, level: float) -> dict[str, float]:
    """The weighted means of the scores of rows, by names such as `coverage_0.9`."""
    return {f"{name}_{level:g}": float(np.average(value, weights=weight)) for name, value in by_row.items()}
