"""The intervals, prediction sets and quantiles of runs that predict together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from mlplab.conformal.intervals import (
    LEVEL,
    Bounds,
    Levels,
    Y,
    bounds_of,
    highest_level,
    interval_scores,
    mean_scores,
)
from mlplab.conformal.prediction_sets import (
    Sets,
    lowest_probability,
    rarely_covered,
    set_scores,
    sets_of,
)
from mlplab.conformal.quantiles import bounds_between, corrected, interval_levels
from mlplab.conformal.residuals import Column, Residuals
from mlplab.data.schema import Schema

Outputs = Float64[np.ndarray, "row output"]
"""Values of targets, the probability of each class, or quantiles of a target."""


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
        """The prediction sets; classes are in them from `lowest_probability` on."""
        return sets_of(predicted, self.lowest_probability(level))

    def lowest_probability(self, level: float = LEVEL) -> float:
        """The probability from which on a class is in the sets: the mean over runs."""
        lowest = [lowest_probability(of_run, level) for of_run in self.residuals]
        return float(np.average(lowest, weights=self.weights))

    def scores_by_row(self, predicted: Outputs, y: Y, level: float) -> dict[str, Column]:
        """The `interval_scores` or `set_scores` of each row."""
        if self.schema.classes:
            return set_scores(self.sets(predicted, level), y)
        return interval_scores(self.bounds(predicted, level), y, level)

    def scores(self, predicted: Outputs, y: Y, weight: Column | None) -> dict[str, float]:
        """The mean scores at `level`, such as `coverage_0.9`; none without a level.

        Those of sets have `coverage_0.9/CLASS`, too, for classes where it is far too low.
        """
        if (level := self.level) is None:
            return {}
        by_row, classes = self.scores_by_row(predicted, y, level), self.schema.classes
        rarely = rarely_covered(by_row["coverage"], y, weight, level) if classes else {}
        of_classes = {f"coverage_{level:g}/{classes[number]}": share for number, share in rarely.items()}
        return mean_scores(by_row, weight, level) | of_classes

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
