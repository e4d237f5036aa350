"""Scores of predicted rows that have a target, in constant memory."""

import math
from collections.abc import Mapping

import numpy as np
import polars as pl
from jaxtyping import Float64

from mlplab.data.parse import cells_of, is_text, parse_float
from mlplab.data.schema import Schema
from mlplab.data.task import class_numbers
from mlplab.runs.predictions import SMALLEST_PROBABILITY, most_likely

CAVEAT = "no test on training rows: evaluate.py leaves them out"
"""What the scores are not."""


class RowScores:
    """The main metrics of predictions, over the rows with readable targets.

    Rows are weighted if the frames have the weight column of training; rows without a weight above 0 are left
    out.

    Args:
        threshold: the probability from which the second of two classes is predicted; None: the more likely.
        decimal_comma: whether numbers in text have a decimal comma.

    Attributes:
        rows: number of rows that were scored.
    """

    def __init__(self, schema: Schema, threshold: float | None = None, *, decimal_comma: bool) -> None:
        self.schema, self.threshold, self.decimal_comma = schema, threshold, decimal_comma
        self.rows, self._is_weighted, self._weight = 0, False, 0.0
        self._sums = np.zeros((2, 1) if schema.classes else (4, len(schema.targets)))
        self._shift: Float64[np.ndarray, " target"] | None = None

    def add(
        self,
        frame: pl.DataFrame,
        numbers: Mapping[str, pl.Series],
        predicted: Float64[np.ndarray, "row output"],
    ) -> None:
        """Scores rows; does nothing if the frame lacks a target.

        Args:
            numbers: columns that are already parsed.
            predicted: the targets, or the probability of each class.
        """
        if any(name not in frame.columns for name in self.schema.targets):
            return
        y = np.column_stack([self._target(frame, numbers, name) for name in self.schema.targets])
        weight = np.ones(len(y))
        if self.schema.weight in frame.columns:
            self._is_weighted, weight = True, self._numbers(frame, numbers, str(self.schema.weight))
        known = np.isfinite(y).all(1) & np.isfinite(weight) & (weight > 0)
        self.rows += int(known.sum())
        y, predicted, weight = y[known], predicted[known], weight[known]
        if not len(y):
            return
        self._weight += weight.sum()
        if self.schema.classes:
            true = y[:, 0].astype(np.int64)
            of_true = predicted[np.arange(len(true)), true].clip(SMALLEST_PROBABILITY, 1)
            correct = most_likely(predicted, self.threshold) == true
            self._sums[:, 0] += weight @ -np.log(of_true), weight @ correct
        else:
            if self._shift is None:  # for the sums of squares: large targets would lose digits
                self._shift = y[0]
            with np.errstate(over="ignore", invalid="ignore"):  # squares of huge values
                error, centred = predicted - y, y - self._shift
                self._sums += [weight @ each for each in (error**2, abs(error), centred, centred**2)]

    def _target(
        self, frame: pl.DataFrame, numbers: Mapping[str, pl.Series], name: str
    ) -> Float64[np.ndarray, " row"]:
        """A target's values or class numbers; NaN where a cell is missing or cannot be read."""
        schema, cells = self.schema, cells_of(frame, name)
        if not schema.classes:
            return self._numbers(frame, numbers, name)
        if not _is_readable(cells):
            return np.full(len(cells), np.nan)
        values = class_numbers(
            *(cells, schema.classes, schema.class_kind, schema.na_values), decimal_comma=self.decimal_comma
        )
        return values.to_numpy(writable=True)

    def _numbers(
        self, frame: pl.DataFrame, numbers: Mapping[str, pl.Series], name: str
    ) -> Float64[np.ndarray, " row"]:
        """A column's numbers; NaN where a cell is missing or cannot be read."""
        cells = cells_of(frame, name)
        if not _is_readable(cells):
            return np.full(len(cells), np.nan)
        if not self.decimal_comma:
            cells = numbers.get(name, cells)
        values = parse_float(cells, self.schema.na_values, decimal_comma=self.decimal_comma)
        return values.to_numpy(writable=True)

    def scores(self) -> dict[str, float]:
        """The metrics of the rows added: means over targets, as in `mlplab.runs.scores.scores`."""
        means = self._sums / self._weight
        if self.schema.classes:
            return dict(zip(("log_loss", "accuracy"), means[:, 0].tolist(), strict=True))
        squared, absolute, centred, centred_squared = means
        with np.errstate(over="ignore", invalid="ignore"):
            variance = centred_squared - centred**2
            r2 = 1 - squared / np.where(variance > 0, variance, math.nan)
        of_targets = {"rmse": np.sqrt(squared), "mae": absolute, "r2": r2}
        return {name: float(each.mean()) for name, each in of_targets.items()}

    def summary(self) -> str:
        """The end of a message, such as `; on the 90 rows with a target: rmse 4.31, mae 3.04, r2 0.91`.

        It is empty if no row was scored. It ends with a caveat, since rows of training are not recognised.
        """
        if not self.rows:
            return ""
        shown = ", ".join(
            f"{name} {value:.4g}" for name, value in self.scores().items() if not math.isnan(value)
        )
        weighted = f", weighted by {self.schema.weight}" if self._is_weighted else ""
        return f"; on the {self.rows:,} rows with a target{weighted}: {shown}; {CAVEAT}"


def _is_readable(cells: pl.Series) -> bool:
    return cells.dtype.is_numeric() or is_text(cells.dtype) or cells.dtype == pl.Boolean
