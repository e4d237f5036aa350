"""Greedy selection of the networks of an ensemble (Caruana et al. 2004)."""

from collections.abc import Callable
from functools import partial

import numpy as np
from jaxtyping import Float64

from mlplab.config.metrics import sign_of
from mlplab.runs.predictions import SMALLEST_PROBABILITY
from mlplab.runs.scores import scores

Output = Float64[np.ndarray, "row output"]
Error = Callable[[Output], float]


def greedy_selection(
    predictions: Float64[np.ndarray, "run row output"], error: Error, steps: int, best: int | None = None
) -> list[int]:
    """Chooses runs one after another: each time the one whose addition lowers the error of the mean most.

    A run may be chosen several times. Of runs that are equally good, the first is chosen. If `error` is
    convex, that of the result is at most that of the best single run, which is chosen first.

    Args:
        error: of predictions for these rows.
        best: the index of the best single run; None: the one with the lowest error.

    Returns:
        The index of the run chosen in each step.
    """
    total, chosen = np.zeros_like(predictions[0]), list[int]()
    for step in range(1, steps + 1):
        if chosen or best is None:
            best = int(np.argmin([error((total + each) / step) for each in predictions]))
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

    `standardised_rmse` is the mean RMSE of the standardised targets. Errors of numbers and the log loss are
    convex.

    Args:
        y: the targets, or the number of each row's class.
        weight: the weight of each row; None: all equal.
        classes: the number of classes; 0 for numbers.
    """
    share = np.ones(len(y)) if weight is None else weight
    share = share / share.sum()
    match metric:
        case "log_loss":
            return partial(_log_loss, y[:, 0].astype(np.int64), share)
        case "mae":
            return lambda predicted: float(np.mean(share @ np.abs(predicted - y)))
        case "rmse":
            return partial(_rmse, y, share, np.ones(y.shape[1]))
        case "standardised_rmse":
            std = np.sqrt(share @ (y - share @ y) ** 2)
            return partial(_rmse, y, share, np.where(std > 0, std, 1))
    sign = sign_of(metric)
    return lambda predicted: sign * scores(predicted, y, weight, classes)[metric]


def _rmse(
    y: Output, weight: Float64[np.ndarray, " row"], unit: Float64[np.ndarray, " target"], predicted: Output
) -> float:
    return float(np.mean(np.sqrt(weight @ (predicted - y) ** 2) / unit))


def _log_loss(y: np.ndarray, weight: Float64[np.ndarray, " row"], predicted: Output) -> float:
    of_true = np.take_along_axis(predicted, y[:, None], 1)[:, 0]
    return float(-weight @ np.log(of_true.clip(min=SMALLEST_PROBABILITY)))
