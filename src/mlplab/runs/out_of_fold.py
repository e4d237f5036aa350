"""What the members of an ensemble hold out: which have no such rows in common, and predictions for them."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import torch
from jaxtyping import Bool, Float64
from torch import Tensor

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


def disjoint_members(held_out: Sequence[Rows], ensemble: int) -> Bool[Tensor, "run one other"] | None:
    """For each member of each ensemble, those that hold out none of its rows; None if there are no ensembles.

    Args:
        held_out: the rows that each member of a stack holds out.
        ensemble: the number of members of each run.
    """
    if ensemble == 1:
        return None
    disjoint = torch.zeros(len(held_out) // ensemble, ensemble, ensemble, dtype=torch.bool)
    for run, of_run in enumerate(disjoint):
        rows = held_out[run * ensemble : (run + 1) * ensemble]
        for one, other in combinations(range(ensemble), 2):
            if not np.intersect1d(rows[one], rows[other], assume_unique=True).size:
                of_run[one, other] = of_run[other, one] = True
    return disjoint
