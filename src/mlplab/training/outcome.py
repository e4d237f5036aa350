"""What the training of a run comes to. Imports no torch."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float32, Float64

from mlplab.conformal.residual_quantiles import Residuals

if TYPE_CHECKING:
    from torch import Tensor

    from mlplab.training.stack_state import StackState

Status = Literal["running", "done", "failed", "interrupted", "diverged", "pruned"]

AS_PLANNED = ("done", "pruned")  # statuses of runs that have ended without a failure

# Scores such as `val/rmse`, and what else is known of a run, by name: numbers, None and text.
Metrics = dict[str, Any]

# By target: how many predictions are below 0, and of how many.
BelowZero = Mapping[str, tuple[int, int]]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a run has come to.

    Args:
        status: `done` if its training was over; `interrupted` by a signal, or `failed` by an error, of which
            `state` is what it resumes from, if that is known.
        reason: why it ended before its last epoch, or failed.
        error: that by which it failed.
        seconds: of training, with those before it was resumed.
        metrics: those of its best epoch, and its numbers of epochs; of one that is `done` its test scores,
            and what was chosen by validation rows.
        weights: those of its networks in the mean prediction, by their numbers; their sum is 1. Networks that
            have diverged are left out, unless all have.
        diverged: why the others have diverged.
        residuals: of the rows that were held out, for intervals and prediction sets.
        below_zero: predictions for these rows, of targets that are never negative in train and val.
        best, last: tensors of these networks, with a leading member axis, after their best epoch (none before
            the first) and after their last step (none unless training was over).
        state: from which training can go on; None if there is nothing left to train.
        history: values by name, such as `val/rmse`, after each epoch since it was resumed.
        test_predictions: the mean predictions of its networks for its test rows, if they were scored.
    """

    status: Status
    reason: str | None
    error: BaseException | None
    seconds: float
    metrics: Metrics
    weights: Mapping[int, float]
    diverged: Sequence[str]
    residuals: Sequence[Residuals]
    below_zero: BelowZero
    best: "dict[str, Tensor]"
    last: "dict[str, Tensor]"
    state: "StackState | None"
    history: Mapping[str, Float32[np.ndarray, " epoch"]]
    test_predictions: Float64[np.ndarray, "row output"] | None


def finite(metrics: Metrics) -> Metrics:
    """Replaces non-finite numbers by None, because JSON has none."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in metrics.items()
    }
