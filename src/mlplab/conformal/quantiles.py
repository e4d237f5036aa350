"""Quantiles of a target, which a network learns with `loss=quantile`.

Each is moved so that the right share of the rows that were held out is below it: conformalised quantile
regression (Romano et al. 2019), with a correction of its own for each quantile.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from mlplab.config.loss import MEDIAN
from mlplab.conformal.intervals import Bounds, Levels
from mlplab.conformal.residuals import Residuals

Quantiles = Float64[np.ndarray, "row quantile"]


def corrected(residuals: Sequence[Residuals], predicted: Quantiles, levels: Levels) -> Quantiles:
    """The quantiles, corrected by the residuals of each, if there are any; so that none cross."""
    if not residuals:
        return np.sort(predicted, 1)
    columns = zip(residuals, predicted.T, levels, strict=True)
    return np.sort(np.column_stack([each.quantile(column, level) for each, column, level in columns]), 1)


def median_of(values: Float64[np.ndarray, "*row quantile"], levels: Levels) -> Float64[np.ndarray, "*row 1"]:
    """The median, which is the prediction."""
    return values[..., [levels.index(MEDIAN)]]


def interval_levels(levels: Levels) -> list[float]:
    """The levels of the intervals between quantiles, the widest first: of 0.05, 0.5 and 0.95, only 0.9."""
    known = {round(level, 9) for level in levels}
    return [round(1 - 2 * low, 9) for low in sorted(known) if low < MEDIAN and round(1 - low, 9) in known]


def bounds_between(predicted: Quantiles, levels: Levels, level: float) -> Bounds:
    """The limits of one of `interval_levels`."""
    return predicted[:, None, [nearest(levels, (1 - level) / 2), nearest(levels, (1 + level) / 2)]]


def nearest(levels: Levels, share: float) -> int:
    """The place of the level that is nearest to a share."""
    return int(np.argmin(np.abs(np.array(levels) - share)))
