"""Predictions of several networks, averaged. Imports no torch."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from mlplab.data.splits.split import Rows

# Smallest probability of a class, so that its logarithm is finite.
SMALLEST_PROBABILITY = 1e-15

# Values of targets in their own units, the probability of each class, or quantiles of a target.
Predicted = Float64[np.ndarray, "row output"]

# Predictions for the rows that a member holds out.
HeldOut = Float64[np.ndarray, "_ output"]

OfMembers = Float64[np.ndarray, "member row output"]  # predictions of each member


def weighted_mean(values: OfMembers, weights: Float64[np.ndarray, " member"]) -> Predicted:
    """The mean over members with these weights; a single member's values themselves.

    A matrix product would round by the number of rows.
    """
    return values[0] if len(values) == 1 else (values * weights[:, None, None]).sum(0)


def out_of_fold(held_out: Sequence[Rows], predicted: Sequence[HeldOut]) -> tuple[Rows, HeldOut]:
    """The rows that a member holds out, ascending, and for each the mean over the members that do."""
    rows, place = np.unique(np.concatenate(held_out), return_inverse=True)
    sums = np.zeros((len(rows), predicted[0].shape[1]))
    np.add.at(sums, place, np.concatenate(predicted))
    return rows, sums / np.bincount(place)[:, None]
