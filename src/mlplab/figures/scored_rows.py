"""Test rows with the predictions of models for them: what most figures of a run show."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from mlplab.figures.style import row_count, sample

THIS = "this network"
"""The name of the network among the models."""


@dataclass(frozen=True)
class ScoredRows:
    """Test rows, a target of theirs, and the predictions of models.

    Attributes:
        target: its name.
        rows: numbers of the rows in the table, counted from 1.
        total: the number of all test rows.
        weight: the weight of each row in means.
        actual: the target, or the number of the class.
        predictions: by the name of the model, `THIS` first: of the target, or the probability of each class.
        classes: empty for regression.
    """

    target: str
    rows: Int64[np.ndarray, " row"]
    total: int
    weight: Float64[np.ndarray, " row"]
    actual: Float64[np.ndarray, " row"] | Int64[np.ndarray, " row"]
    predictions: Mapping[str, Float64[np.ndarray, "row *class"]]
    classes: tuple[str, ...] = ()

    @property
    def predicted(self) -> Float64[np.ndarray, "row *class"]:
        """The predictions of the network."""
        return self.predictions[THIS]

    def shown(self) -> Int64[np.ndarray, " shown"]:
        """The positions of the rows that are shown as points."""
        return sample(np.arange(len(self.rows)))

    def count(self) -> str:
        """How many rows are shown in sums and means."""
        return row_count(len(self.rows), self.total, self.weight)


class ColumnValues(NamedTuple):
    """A feature of some rows.

    Attributes:
        values: numbers in the column's own units, or the codes of categories; NaN is missing.
        categories: the categories by their codes; empty for numbers.
    """

    name: str
    values: Float64[np.ndarray, " row"]
    categories: tuple[str, ...] = ()
