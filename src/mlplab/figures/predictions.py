"""Test rows with the predictions of models for them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from mlplab.config.metrics import DEFAULT_THRESHOLD
from mlplab.data.splits.split import sample_rows
from mlplab.figures.style import MOST_POINTS, row_count

THIS = "this network"
"""The name of the network among the models."""


@dataclass(frozen=True)
class ScoredRows:
    """Test rows, a target of theirs, and the predictions of models.

    Attributes:
        rows: numbers of the rows in the table, counted from 1.
        total: the number of all test rows.
        actual: the target, or the number of the class.
        predictions: by the name of the model, `THIS` first: of the target, or the probability of each class.
        classes: empty for regression.
        threshold: the probability from which the network predicts the second of two classes.
    """

    target: str
    rows: Int64[np.ndarray, " row"]
    total: int
    weight: Float64[np.ndarray, " row"]
    actual: Float64[np.ndarray, " row"] | Int64[np.ndarray, " row"]
    predictions: Mapping[str, Float64[np.ndarray, "row *class"]]
    classes: tuple[str, ...] = ()
    threshold: float = DEFAULT_THRESHOLD

    @property
    def predicted(self) -> Float64[np.ndarray, "row *class"]:
        """The predictions of the network."""
        return self.predictions[THIS]

    def shown(self) -> Int64[np.ndarray, " shown"]:
        """The positions of the rows that are shown as points."""
        return sample_rows(np.arange(len(self.rows)), MOST_POINTS)

    def count(self) -> str:
        """How many rows are shown in sums and means."""
        return row_count(len(self.rows), self.total, self.weight)
