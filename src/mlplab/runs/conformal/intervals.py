"""Prediction intervals: limits between which targets are with a given probability."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from mlplab.runs.conformal.residuals import Column, Residuals, highest_share

LEVEL = 0.9
"""The level of the intervals and sets that test rows are scored with."""

Bounds = Float64[np.ndarray, "row target limit"]
"""The lower and the upper limit of each target, in its own units."""


def highest_level(residuals: Sequence[Residuals]) -> float:
    """The highest level of an interval; that of a higher one would be infinite. NaN without residuals."""
    return 2 * highest_share(residuals) - 1


def bounds_of(
    residuals: Sequence[Residuals], predicted: Float64[np.ndarray, "row target"], level: float = LEVEL
) -> Bounds:
    """The limits around the predictions of all targets: (1 − level) / 2 of the rows are below, and above."""
    columns = zip(residuals, predicted.T, strict=True)
    shares = (1 - level) / 2, (1 + level) / 2
    limits = [[each.quantile(column, share) for share in shares] for each, column in columns]
    return np.array(limits).transpose(2, 0, 1)


def interval_scores(
    bounds: Bounds, y: Float64[np.ndarray, "row target"], weight: Column | None, level: float = LEVEL
) -> dict[str, float]:
    """How good intervals are; means over rows and targets, by names such as `coverage_0.9`.

    `coverage` is the share of targets within the limits; `width` the distance of these, in units of the
    target; `winkler` the width plus 2 / (1 − level) times the distance of a target beyond a limit (Winkler
    1972), which is lowest for the true quantiles.
    """
    lower, upper = bounds[..., 0], bounds[..., 1]
    beyond = (lower - y).clip(min=0) + (y - upper).clip(min=0)
    scores = {"coverage": beyond == 0, "width": upper - lower}
    scores["winkler"] = scores["width"] + 2 / (1 - level) * beyond
    means = {name: np.average(value.mean(1), weights=weight) for name, value in scores.items()}
    return {f"{name}_{level:g}": float(mean) for name, mean in means.items()}
