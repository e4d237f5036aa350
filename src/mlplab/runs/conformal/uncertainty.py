"""The intervals, prediction sets and quantiles of runs that predict together."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from jaxtyping import Float64

from mlplab.console import plural
from mlplab.data.schema import Schema
from mlplab.errors import listed
from mlplab.runs.conformal.intervals import LEVEL, Bounds, bounds_of, highest_level, interval_scores
from mlplab.runs.conformal.prediction_sets import Sets, lowest_probability, set_scores, sets_of
from mlplab.runs.conformal.quantiles import Quantiles, bounds_between, corrected, interval_levels
from mlplab.runs.conformal.residuals import Column, Residuals, highest_share
from mlplab.runs.predictions import Predicted, interval_columns, prediction_columns, set_columns

Y = Float64[np.ndarray, "row target"]


class Coverage(NamedTuple):
    """How an interval or a set does for each row.

    Attributes:
        inside: the share of the row's targets within their intervals; of a class, 1 if the set has it.
        size: the mean width of the intervals, or the number of classes in the set.
    """

    inside: Column
    size: Column


class Uncertainty:
    """What the residuals of runs say of their mean prediction.

    Args:
        residuals: those of each run.
        weights: the weight of each run in the mean; None: all equal.
        quantiles: the levels of the quantiles that the runs predict; none: they predict targets or classes.
    """

    def __init__(
        self,
        schema: Schema,
        residuals: Sequence[Sequence[Residuals]],
        weights: Float64[np.ndarray, " run"] | None = None,
        quantiles: Sequence[float] = (),
    ) -> None:
        self.schema, self.residuals, self.weights, self.quantiles = schema, residuals, weights, quantiles
        self.key = "sets" if schema.classes else "interval"

    def corrected(self, predicted: Quantiles) -> Quantiles:
        """The mean quantiles, corrected by each run's residuals; the mean over runs."""
        of_runs = [corrected(of_run, predicted, self.quantiles) for of_run in self.residuals]
        return np.average(of_runs, 0, self.weights)

    def bounds(self, predicted: Predicted, level: float = LEVEL) -> Bounds:
        """The limits around mean predictions; means of those that the runs give."""
        if self.quantiles:
            return bounds_between(predicted, self.quantiles, level)
        of_runs = [bounds_of(of_run, predicted, level) for of_run in self.residuals]
        return np.average(of_runs, 0, self.weights)

    def sets(self, predicted: Predicted, level: float = LEVEL) -> Sets:
        """The prediction sets; classes are in them from the mean over runs of the lowest probability on."""
        lowest = [lowest_probability(of_run, level) for of_run in self.residuals]
        return sets_of(predicted, float(np.average(lowest, weights=self.weights)))

    def coverage(self, predicted: Predicted, y: Y, level: float) -> Coverage:
        """How the intervals or sets of a level do for rows with these targets, or numbers of classes."""
        if self.schema.classes:
            sets = self.sets(predicted, level)
            inside = np.take_along_axis(sets, y.astype(np.int64), 1)[:, 0]
            return Coverage(inside.astype(np.float64), sets.sum(1).astype(np.float64))
        lower, upper = np.moveaxis(self.bounds(predicted, level), 2, 0)
        return Coverage(((lower <= y) & (y <= upper)).mean(1), (upper - lower).mean(1))

    def scores(self, predicted: Predicted, y: Y, weight: Column | None) -> dict[str, float]:
        """The scores of the intervals or sets of `level`, if there are any; not those of quantiles."""
        if (level := self.level) is None or self.quantiles:
            return {}
        if self.schema.classes:
            return set_scores(self.sets(predicted, level), y, weight, level)
        return interval_scores(self.bounds(predicted, level), y, weight, level)

    @property
    def level(self) -> float | None:
        """The level that test rows are scored with: the usual one, or that of the outermost quantiles."""
        level = next(iter(interval_levels(self.quantiles)), None) if self.quantiles else LEVEL
        return level if level is not None and level <= self.highest_level else None

    def levels(self, wanted: Sequence[float]) -> list[float]:
        """Those of the wanted levels that there are, ascending; of quantiles, all between them."""
        known = sorted(interval_levels(self.quantiles)) if self.quantiles else wanted
        return [level for level in known if level <= self.highest_level]

    @property
    def highest_level(self) -> float:
        """The highest level; NaN if a run has no residuals."""
        of_run = highest_share if self.schema.classes else highest_level
        return float(np.min([of_run(residuals) for residuals in self.residuals]))

    def columns(
        self,
        predicted: Predicted,
        threshold: float,
        intervals: Sequence[float] = (),
        sets: Sequence[float] = (),
    ) -> list[pl.Series]:
        """The columns of predictions, and of their intervals or sets of these levels."""
        added = prediction_columns(self.schema, predicted, threshold, self.quantiles)
        if intervals:
            bounds = [self.bounds(predicted, level) for level in intervals]
            added += interval_columns(self.schema, bounds, intervals)
        return added + set_columns(self.schema, [self.sets(predicted, level) for level in sets], sets)

    def fault(
        self, intervals: Sequence[float], sets: Sequence[float], held_out: str = "row"
    ) -> tuple[str, str] | None:
        """Why there are no intervals or sets of these levels, and what to do; None if there are.

        Args:
            held_out: what the residuals count: rows, or groups.
        """
        if not (intervals or sets):
            return None
        if intervals and self.schema.classes:
            return "predicts classes, which have no intervals", f"use sets={intervals[0]:g}"
        if sets and not self.schema.classes:
            return "predicts numbers, which have no prediction sets", f"use interval={sets[0]:g}"
        known, most = interval_levels(self.quantiles), self.highest_level
        if self.quantiles and (other := [level for level in intervals if round(level, 9) not in known]):
            have = f"has the quantiles {listed(map(str, self.quantiles), 9)}, none for interval={other[0]:g}"
            ends = f"{(1 - other[0]) / 2:.4g},0.5,{(1 + other[0]) / 2:.4g}"
            use = f"use interval={known[0]:g}, or " if known else ""
            return have, f"{use}train with loss.levels=[{ends}]"
        if np.isnan(most):
            return "has no held-out errors (runs from before 0.20 may have none)", "train again"
        if (wanted := max([*intervals, *sets])) > most:
            rows = plural(min(each.rows for of_run in self.residuals for each in of_run), held_out)
            most = np.floor(most * 1000) / 1000
            use = f"at most {self.key}={most:g}, or " if most else ""
            return f"held out {rows}, too few for {self.key}={wanted:g}", f"{use}train on more"
        return None
