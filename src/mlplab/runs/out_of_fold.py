"""Predictions of an ensemble for the rows that its members hold out."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from mlplab.data.splits.split import Rows


def out_of_fold(
    held_out: Sequence[Rows], predicted: Sequence[Float64[np.ndarray, "_ output"]]
) -> tuple[Rows, Float64[np.ndarray, "_ output"]]:
    """The rows that a member holds out, ascending, and for each the mean over the members that do.

    Args:
        held_out: the rows that each member holds out.
        predicted: the predictions of each member for these.
    """
    rows, place = np.unique(np.concatenate(held_out), return_inverse=True)
    sums = np.zeros((len(rows), predicted[0].shape[1]))
    np.add.at(sums, place, np.concatenate(predicted))
    return rows, sums / np.bincount(place)[:, None]
