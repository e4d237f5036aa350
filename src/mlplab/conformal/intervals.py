"""How sure predictions are: intervals of targets, sets of classes, and quantiles.

A prediction set has the classes that are at least as probable as a threshold: the smallest sets on average
(Sadinle, Lei & Wasserman 2019). The most likely class is always in it.

Each quantile that a network has learned with `loss=quantile` is moved so that the right share of the rows
that were held out is below it: conformalised quantile regression (Romano et al. 2019), with a correction of
its own for each quantile.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64

from mlplab.config.loss import MEDIAN
from mlplab.conformal.residual_quantiles import Column, Residuals
from mlplab.data.schema import Schema

LEVEL = 0.9  # the level of the intervals and sets that test rows are scored with

Levels = Sequence[float]  # the levels of intervals, sets or quantiles

Y = Float64[np.ndarray, "row target"]

# Values of targets, the probability of each class, or quantiles of a target.
Outputs = Float64[np.ndarray, "row output"]

# The lower and the upper limit of each target, in its own units.
Bounds = Float64[np.ndarray, "row target limit"]

Sets = Bool[np.ndarray, "row class"]


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


def rarely_covered(covered: Column, y: Y, weight: Column | None, level: float) -> dict[int, float]:
    """The coverage of each class whose sets fail at least twice as often as the level says, by its number."""
    numbers = y[:, 0].astype(np.int64)
    weight = np.ones(len(y)) if weight is None else weight
    rows, squares, inside = (np.bincount(numbers, each) for each in (weight, weight**2, weight * covered))
    with np.errstate(invalid="ignore"):  # of classes without rows
        share, error = inside / rows, np.sqrt(level * (1 - level) * squares) / rows
    far = level - share >= np.maximum(1 - level, 5 * error)  # so that chance is no reason, even for few rows
    return {number: float(share[number]) for number in np.flatnonzero(far).tolist()}


def corrected(residuals: Sequence[Residuals], predicted: Outputs, levels: Levels) -> Outputs:
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


def bounds_between(predicted: Outputs, levels: Levels, level: float) -> Bounds:
    """The limits of one of `interval_levels`."""
    return predicted[:, None, [nearest(levels, (1 - level) / 2), nearest(levels, (1 + level) / 2)]]


def nearest(levels: Levels, share: float) -> int:
    """The place of the level that is nearest to a share."""
    return int(np.argmin(np.abs(np.array(levels) - share)))


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """What the residuals of runs say of their mean prediction.

    Args:
        residuals: those of each run.
        quantiles: the levels of the quantiles that the runs predict; none: they predict targets or classes.
        weights: the weight of each run in the mean; None: all equal.
    """

    schema: Schema
    residuals: Sequence[Sequence[Residuals]]
    quantiles: Levels = ()
    weights: Float64[np.ndarray, " run"] | None = None

    def corrected(self, predicted: Outputs) -> Outputs:
        """Mean quantiles, corrected by each run's residuals (the mean over runs); else, the mean itself."""
        if not self.quantiles:
            return predicted
        of_runs = [corrected(of_run, predicted, self.quantiles) for of_run in self.residuals]
        return np.average(of_runs, 0, self.weights)

    def bounds(self, predicted: Outputs, level: float = LEVEL) -> Bounds:
        """The limits around mean predictions; means of those that the runs give."""
        if self.quantiles:
            return bounds_between(predicted, self.quantiles, level)
        of_runs = [bounds_of(of_run, predicted, level) for of_run in self.residuals]
        return np.average(of_runs, 0, self.weights)

    def sets(self, predicted: Outputs, level: float = LEVEL) -> Sets:
        """Which classes are in the prediction set of each row: the most likely one, and those from
        `lowest_probability` on."""
        return predicted >= np.minimum(self.lowest_probability(level), predicted.max(1, keepdims=True))

    def lowest_probability(self, level: float = LEVEL) -> float:
        """The probability from which on a class is in the sets: the mean over runs."""
        lowest = [1 - float(of_run[0].quantile(np.zeros(1), level)[0]) for of_run in self.residuals]
        return float(np.average(lowest, weights=self.weights))

    def scores_by_row(self, predicted: Outputs, y: Y, level: float) -> dict[str, Column]:
        """The `interval_scores` of each row; of classes, whether the true one is in the set, and its size."""
        if not self.schema.classes:
            return interval_scores(self.bounds(predicted, level), y, level)
        sets = self.sets(predicted, level)
        covered = np.take_along_axis(sets, y.astype(np.int64), 1)[:, 0]
        return {"coverage": covered.astype(np.float64), "set_size": sets.sum(1).astype(np.float64)}

    def scores(self, predicted: Outputs, y: Y, weight: Column | None) -> dict[str, float]:
        """The mean scores at `level`, such as `coverage_0.9`; none without a level.

        Those of sets have `coverage_0.9/CLASS`, too, for classes where it is far too low.
        """
        if (level := self.level) is None:
            return {}
        by_row, classes = self.scores_by_row(predicted, y, level), self.schema.classes
        rarely = rarely_covered(by_row["coverage"], y, weight, level) if classes else {}
        by_class = {f"coverage_{level:g}/{classes[number]}": share for number, share in rarely.items()}
        return mean_scores(by_row, weight, level) | by_class

    @property
    def level(self) -> float | None:
        """The level that test rows are scored with: the usual one, or that of the outermost quantiles."""
        level = next(iter(interval_levels(self.quantiles)), None) if self.quantiles else LEVEL
        return level if level is not None and level <= self.highest_level else None

    @property
    def highest_level(self) -> float:
        """The highest level that the residuals of all runs allow; NaN if a run has none."""
        limits = 1 if self.schema.classes else 2
        return float(np.min([highest_level(residuals, limits) for residuals in self.residuals]))
