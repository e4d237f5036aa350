"""Prediction intervals: limits between which targets are with a given probability.

Split conformal prediction (Lei et al. 2018): errors of new rows are taken to be as those of rows that were
held out; of an ensemble, each row is predicted by the networks that did not train on it. Errors are relative
to their usual size near a prediction (Papadopoulos et al. 2002), and each limit has its own quantile. Imports
no torch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from jaxtyping import Float64

from mlplab.data.splits.split import Rows
from mlplab.data.table import Table

LEVEL = 0.9
"""The level of the interval that test rows are scored with."""

MOST_ERRORS = 1000
"""Errors that are kept, so that a run does not grow with its table; half are the lowest and the highest."""

ROWS_OF_BIN, MOST_BINS = 30, 12
"""Rows between two values of the scale, and the most such values."""

PRIOR_ROWS = 20
"""Rows with errors of the usual size that are added to each bin: the scale of few rows is uncertain."""

ROUNDING = 1e-9
"""A share of rows that is due to rounding."""

Column = Float64[np.ndarray, " row"]

Bins = Float64[np.ndarray, " bin"]

Bounds = Float64[np.ndarray, "row target limit"]
"""The lower and the upper limit of each target, in its own units."""


@dataclass(frozen=True)
class Residuals:
    """The errors of the predictions of a target for rows that were held out.

    Args:
        rows: the number of rows, or of groups, which count alike; of rows with different weights, the number
            of equal ones whose mean varies as much (Kish 1965).
        errors: y − ŷ, divided by the scale at ŷ, ascending.
        below, share: the shares of the rows with a lower error, and with this error or a lower one.
        predicted, scale: the mean absolute error near these predictions, in the target's units; linear
            between them.
    """

    rows: int
    errors: Float64[np.ndarray, " error"]
    below: Float64[np.ndarray, " error"]
    share: Float64[np.ndarray, " error"]
    predicted: Bins
    scale: Bins

    @classmethod
    def of(cls, y: Column, predicted: Column, weight: Column, rows: int) -> "Residuals":
        """Those of rows whose weight is above 0."""
        errors = y - predicted
        near, scale = _scale(predicted, np.abs(errors), weight, rows)
        errors = errors / np.interp(predicted, near, scale)
        order = np.argsort(errors, kind="stable")
        share = weight[order].cumsum() / weight.sum()
        below = np.append(0, share[:-1])
        kept = np.arange(len(y))
        if len(y) > MOST_ERRORS:
            tail, middle = MOST_ERRORS // 4, np.linspace(0, len(y) - 1, MOST_ERRORS // 2).astype(np.int64)
            kept = np.unique(np.concatenate([kept[:tail], middle, kept[-tail:]]))
        return cls(rows, errors[order][kept], below[kept], share[kept], near, scale)

    def bounds(self, predicted: Column, level: float) -> Float64[np.ndarray, "row limit"]:
        """The limits around predictions.

        Below and above them are (1 − level) / 2 of the rows each, if the new row is counted as one of those
        that were held out, and exceeds all of them.
        """
        needed = (1 + level) / 2 * (self.rows + 1) / self.rows
        lower = np.searchsorted(self.below, 1 - needed + ROUNDING, side="right") - 1
        upper = np.searchsorted(self.share, needed - ROUNDING)
        limits = self.errors[np.clip([lower, upper], 0, len(self.errors) - 1)]
        return predicted[:, None] + np.interp(predicted, self.predicted, self.scale)[:, None] * limits

    def arrays(self) -> dict[str, np.ndarray]:
        """As arrays, for a checkpoint."""
        return {name: np.asarray(value) for name, value in asdict(self).items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Residuals":
        """From `arrays`."""
        values = dict(arrays)
        return cls(int(values.pop("rows")), **values)


def _scale(predicted: Column, size: Column, weight: Column, rows: int) -> tuple[Bins, Bins]:
    """The mean size of errors in bins of predictions with equal weight, and the mean predictions of these."""
    bins = int(np.clip(rows // ROWS_OF_BIN, 1, MOST_BINS))
    usual = np.average(size, weights=weight) or 1.0
    order = np.argsort(predicted, kind="stable")
    weight, middle = weight[order], weight[order].cumsum() - weight[order] / 2
    bin_of = np.minimum((middle / weight.sum() * bins).astype(np.int64), bins - 1)
    total = np.bincount(bin_of, weight, bins)
    used = total > 0
    near = np.bincount(bin_of, weight * predicted[order], bins)[used] / total[used]
    prior = PRIOR_ROWS * weight.sum() / rows
    summed = np.bincount(bin_of, weight * size[order], bins)[used]
    return near, (summed + prior * usual) / (total[used] + prior)


def residuals_of(table: Table, rows: Rows, predicted: Float64[np.ndarray, "row target"]) -> list[Residuals]:
    """The residuals of each target, of rows that were held out.

    New rows count as rows with the mean weight. With groups, a new row is of a new group, so each group
    counts alike.
    """
    weight = np.ones(len(rows)) if table.weight is None else table.weight[rows]
    groups = table.split_columns.get("group")
    used = weight > 0
    rows, predicted, weight = rows[used], predicted[used], weight[used]
    if not len(rows):
        return []
    count = int(weight.sum() ** 2 / (weight**2).sum() * (1 + ROUNDING))
    if groups is not None:
        _, group = np.unique(groups[rows], return_inverse=True)
        weight = weight / np.bincount(group, weight)[group]
        count = int(group.max()) + 1
    y = table.y[rows]
    return [Residuals.of(*each, weight, count) for each in zip(y.T, predicted.T, strict=True)]


def highest_level(residuals: Sequence[Residuals]) -> float:
    """The highest level of an interval; that of a higher one would be infinite. NaN without residuals."""
    return min((1 - 2 / (of_target.rows + 1) for of_target in residuals), default=np.nan)


def bounds_of(
    residuals: Sequence[Residuals], predicted: Float64[np.ndarray, "row target"], level: float = LEVEL
) -> Bounds:
    """The limits around the predictions of all targets."""
    columns = zip(residuals, predicted.T, strict=True)
    return np.stack([of_target.bounds(column, level) for of_target, column in columns], 1)


def scores_of(
    residuals: Sequence[Residuals],
    predicted: Float64[np.ndarray, "row target"],
    y: Float64[np.ndarray, "row target"],
    weight: Column | None,
) -> dict[str, float]:
    """The `interval_scores` around predictions; none if there are no intervals of `LEVEL`."""
    has_intervals = highest_level(residuals) >= LEVEL
    return interval_scores(bounds_of(residuals, predicted), y, weight) if has_intervals else {}


def interval_scores(
    bounds: Bounds, y: Float64[np.ndarray, "row target"], weight: Column | None, level: float = LEVEL
) -> dict[str, float]:
    """How good intervals are; means over rows and targets.

    `coverage` is the share of targets within the limits; `width` the distance of these, in units of the
    target; `winkler` the width plus 2 / (1 − level) times the distance of a target beyond a limit (Winkler
    1972), which is lowest for the true quantiles.
    """
    lower, upper = bounds[..., 0], bounds[..., 1]
    beyond = (lower - y).clip(min=0) + (y - upper).clip(min=0)
    scores = {"coverage": beyond == 0, "width": upper - lower}
    scores["winkler"] = scores["width"] + 2 / (1 - level) * beyond
    return {name: float(np.average(value.mean(1), weights=weight)) for name, value in scores.items()}
