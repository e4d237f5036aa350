"""The errors of the rows that were held out, whose quantiles make intervals, sets and quantiles.

Split conformal prediction (Lei et al. 2018): errors of new rows are taken to be as those of rows that were
held out; of an ensemble, each row is predicted by the networks that did not train on it. Errors are relative
to their usual size near a prediction (Papadopoulos et al. 2002).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64

from mlplab.data.splits.split import Rows
from mlplab.data.table import Table
from mlplab.effective_rows import effective_rows

# Errors that are kept, so that a run does not grow with its table; half are the lowest and the highest.
MOST_ERRORS = 1000

ROUNDING = 1e-9  # a share of rows that is due to rounding

TIE = 1e-12  # the distance of equal targets, relative to their size, that is due to rounding

Column = Float64[np.ndarray, " row"]

Bins = Float64[np.ndarray, " bin"]


@dataclass(frozen=True)
class Residuals:
    """The errors of the predictions of a target for rows that were held out.

    Args:
        rows: the number of rows, or of groups, which count alike; of rows with different weights, the number
            of `effective_rows`.
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
        """The residuals of rows whose weights are above 0.

        Args:
            rows: how many rows they are worth.
        """
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

    def quantile(self, predicted: Column, share: float) -> Column:
        """A limit at each prediction that at least this share of new targets is below; under ½, at most."""
        return self.limit(predicted, np.interp(predicted, self.predicted, self.scale), share)

    def limit(self, predicted: Any, scale: Any, share: float) -> Any:
        """The result of `quantile`, given the scale at each prediction: arrays, or values of an ONNX graph.

        The new row is counted as one of those that were held out, and takes the farther place. Targets with
        the same error stay within, whatever the rounding.
        """
        needed = max(share, 1 - share) * (self.rows + 1) / self.rows
        if share < 0.5:
            outwards, place = -TIE, np.searchsorted(self.below, 1 - needed + ROUNDING, side="right") - 1
        else:
            outwards, place = TIE, np.searchsorted(self.share, needed - ROUNDING)
        error = self.errors[np.clip(place, 0, len(self.errors) - 1)]
        return predicted + scale * float(error) + (abs(predicted) + scale) * outwards

    def arrays(self) -> dict[str, np.ndarray]:
        """All fields as arrays, for a checkpoint."""
        return {name: np.asarray(value) for name, value in vars(self).items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Residuals":
        """Restores the result of `arrays`."""
        return cls(**{**arrays, "rows": int(arrays["rows"])})  # type: ignore[arg-type]


def _scale(predicted: Column, size: Column, weight: Column, rows: int) -> tuple[Bins, Bins]:
    bins = int(np.clip(rows // 30, 1, 12))
    usual = np.average(size, weights=weight) or 1.0
    order = np.argsort(predicted, kind="stable")
    weight, middle = weight[order], weight[order].cumsum() - weight[order] / 2
    bin_of = np.minimum((middle / weight.sum() * bins).astype(np.int64), bins - 1)
    total = np.bincount(bin_of, weight, bins)
    used = total > 0
    near = np.bincount(bin_of, weight * predicted[order], bins)[used] / total[used]
    prior = 20 * weight.sum() / rows  # rows of the usual size, since the scale of few rows is uncertain
    summed = np.bincount(bin_of, weight * size[order], bins)[used]
    return near, (summed + prior * usual) / (total[used] + prior)


def residuals_of(table: Table, rows: Rows, predicted: Float64[np.ndarray, "row output"]) -> list[Residuals]:
    """The residuals of each target or quantile; of classes, the error is 1 − p with p of the true class.

    New rows count as rows with the mean weight. With groups, a new row is of a new group, so each group
    counts alike.

    Args:
        rows: which the networks that predicted them held out.
    """
    weight = np.ones(len(rows)) if table.weight is None else table.weight[rows]
    groups = table.split_columns.get("group")
    used = weight > 0
    rows, predicted, weight = rows[used], predicted[used], weight[used]
    if not len(rows):
        return []
    count = int(effective_rows(weight) * (1 + ROUNDING))
    if groups is not None:
        _, group = np.unique(groups[rows], return_inverse=True)
        weight = weight / np.bincount(group, weight)[group]
        count = int(group.max()) + 1
    y = table.y[rows]
    if table.schema.classes:
        y = 1 - np.take_along_axis(predicted, y.astype(np.int64), 1)
        predicted = np.zeros_like(y)
    y = np.broadcast_to(y, predicted.shape)
    return [Residuals.of(*each, weight, count) for each in zip(y.T, predicted.T, strict=True)]
