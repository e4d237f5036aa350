"""Greedy selection of the networks of an ensemble (Caruana et al. 2004), and the errors that it lowers."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float64

from mlplab.config.metrics import sign_of
from mlplab.runs.predictions import SMALLEST_PROBABILITY
from mlplab.runs.scores import scores

Error = Callable[[Float64[np.ndarray, "row output"]], float]


def greedy_selection(
    predictions: Float64[np.ndarray, "run row output"], error: Error, steps: int, best: int | None = None
) -> list[int]:
    """Chooses a run in each step: the one whose addition lowers the error of the mean most.

    A run may be chosen several times. Of runs that are equally good, the first is chosen. If `error` is
    convex, that of the result is at most that of the best single run, which is chosen first.

    Args:
        error: of predictions for these rows.
        best: the index of the best single run; None: the one with the lowest error.
    """
    total, chosen = np.zeros_like(predictions[0]), list[int]()
    for step in range(1, steps + 1):
        if chosen or best is None:
            best = int(np.argmin([error((total + of_run) / step) for of_run in predictions]))
        total += predictions[best]
        chosen.append(best)
    return chosen


def error_of(
    metric: str,
    y: Float64[np.ndarray, "row target"],
    weight: Float64[np.ndarray, " row"] | None,
    classes: int,
) -> Error:
    """The error of predictions for rows, by a metric of `scores`; where high values are good, its negative.

    `standardised_rmse` is the mean RMSE of the standardised targets. Errors of regression and the log loss
    are convex, and computed here, since they are called often.

    Args:
        y: the targets, or the number of each row's class.
        weight: the weight of each row; None: all equal.
        classes: the number of classes; 0 for regression.
    """
    share = np.ones(len(y)) if weight is None else weight
    share = share / share.sum()
    if metric == "log_loss":
        true = np.arange(len(y)), y[:, 0].astype(np.int64)
        return lambda predicted: float(-share @ np.log(predicted[true].clip(min=SMALLEST_PROBABILITY)))
    if metric == "mae":
        return lambda predicted: float(np.mean(share @ np.abs(predicted - y)))
    if metric in ("rmse", "standardised_rmse"):
        std = np.sqrt(share @ (y - share @ y) ** 2)
        unit = np.where((std > 0) & (metric != "rmse"), std, 1)
        return lambda predicted: float(np.mean(np.sqrt(share @ (predicted - y) ** 2) / unit))
    sign = sign_of(metric)
    return lambda predicted: sign * scores(predicted, y, weight, classes)[metric]
