"""Greedy selection of the runs of an ensemble (Caruana et al. 2004), and the errors that it lowers."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float64

from mlplab.config.metrics import sign_of
from mlplab.runs.scores import scores

Error = Callable[[Float64[np.ndarray, "row output"]], float]

STANDARDISED_RMSE = "standardised_rmse"
"""The mean RMSE of the standardised targets."""


def greedy_selection(
    predictions: Float64[np.ndarray, "run row output"], error: Error, steps: int, best: int | None = None
) -> list[int]:
    """Chooses a run in each step: the one whose addition lowers the error of the mean most.

    A run may be chosen several times. Of runs that are equally good, the first is chosen. If `error` is
    convex, that of the result is at most that of the best single run, which is chosen first.

    Args:
        best: the index of the best single run; None: the one with the lowest error.
    """
    total, chosen = np.zeros_like(predictions[0]), list[int]()
    for step in range(1, steps + 1):
        if chosen or best is None:
            best = int(np.argmin([error((total + predicted) / step) for predicted in predictions]))
        total += predictions[best]
        chosen.append(best)
    return chosen


def error_of(
    metric: str,
    y: Float64[np.ndarray, "row target"],
    weight: Float64[np.ndarray, " row"] | None,
    classes: int,
) -> Error:
    """The error of predictions for rows: a metric of `scores`, or `STANDARDISED_RMSE`.

    Where high values are good, it is the negative metric. Errors of regression and the log loss are convex.
    The arguments are those of `scores`.
    """
    if metric == STANDARDISED_RMSE:
        sd = np.sqrt(np.average((y - np.average(y, axis=0, weights=weight)) ** 2, axis=0, weights=weight))
        unit = np.where(sd > 0, sd, 1)
        standardised = error_of("rmse", y / unit, weight, classes)
        return lambda predicted: standardised(predicted / unit)
    sign = sign_of(metric)
    return lambda predicted: sign * scores(predicted, y, weight, classes)[metric]
