"""Predictions of rows in which the cells of one column are replaced by those of other rows."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float64, Int64

from mlplab.errors import Fault, UserError
from mlplab.runs.predictions import weighted_mean
from mlplab.runs.trained.ensemble import Ensemble
from mlplab.runs.trained.run_stack import stacked

VALUES_AT_ONCE = 2**23
"""The most features, or predictions of members, in memory at a time: 32 or 64 MiB."""

RowNumbers = Int64[np.ndarray, " row"]


class ReplacedCells:
    """Predicts rows in which the cells of one column are replaced by those of other rows.

    All features of the column, such as the parts of a date, are replaced together. A missing value is a cell
    like others.

    Args:
        features: the rows of each run, by its schema; runs with the same array predict as stacks.

    Attributes:
        rows: number of rows.
    """

    def __init__(self, ensemble: Ensemble, features: Sequence[Float[np.ndarray, "row _"]]) -> None:
        self.ensemble, self.rows = ensemble, len(features[0])
        of_runs = dict(zip(map(id, ensemble.members), ensemble.weights, strict=True))
        self._parts = [
            (stack, x)
            for x in {id(x): x for x in features}.values()
            for stack in stacked([r for r, own in zip(ensemble.members, features, strict=True) if own is x])
        ]
        self._weights = np.concatenate(
            [of_runs[id(run)] * run.member_weights for stack, _ in self._parts for run in stack.runs]
        )
        widest = max(x.shape[1] for _, x in self._parts)
        self._row_values = max(widest, len(self._weights) * ensemble.schema.outputs)

    def predict(
        self, column: int, rows: RowNumbers, sources: Int64[np.ndarray, "variant row"]
    ) -> Float64[np.ndarray, "variant row output"]:
        """Mean predictions of the ensemble.

        Args:
            column: the number of an input column.
            rows: the rows that are predicted.
            sources: in each variant, for each of these rows, the row whose cell it gets.

        Raises:
            UserError: if a prediction is not finite.
        """
        at_once = max(1, VALUES_AT_ONCE // (len(rows) * self._row_values))
        starts = range(0, len(sources), at_once)
        predicted = np.concatenate([self._mean(column, rows, sources[start:][:at_once]) for start in starts])
        if not np.isfinite(predicted).all():
            remedy = "some inputs are far outside the training range; correct them, or drop such rows"
            raise UserError(Fault("some predictions are not finite", remedy=remedy))
        return predicted.reshape(*sources.shape, -1)

    def _mean(
        self, column: int, rows: RowNumbers, sources: Int64[np.ndarray, "variant row"]
    ) -> Float64[np.ndarray, "variant_row output"]:
        values = []
        for stack, x in self._parts:
            features = stack.runs[0].schema.feature_slices[column]
            replaced = np.tile(x[rows], (len(sources), 1))
            replaced[:, features] = x[sources.ravel(), features]
            values.append(stack(replaced))
        return weighted_mean(np.concatenate(values), self._weights)
