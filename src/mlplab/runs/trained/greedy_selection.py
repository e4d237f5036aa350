"""Greedy selection of the runs of an ensemble (Caruana et al. 2004), and the errors that it lowers."""

from collections.abc import Callable, Sequence

import numpy as np

from mlplab.config.metrics import sign_of
from mlplab.conformal.intervals import Levels, Y
from mlplab.runs.baselines.models import Weights
from mlplab.training.scoring.mean_predictions import SMALLEST_PROBABILITY, Predicted
from mlplab.training.scoring.scores import Task, scores

Error = Callable[[Predicted, float], float]
"""Of predictions, and the threshold from which the second of two classes is predicted."""

STANDARDISED_RMSE = "standardised_rmse"
"""The mean RMSE of the standardised targets."""


def greedy_selection(
    runs: Sequence[tuple[Predicted, float]], error: Error, steps: int, best: int | None = None
) -> list[int]:
    """Chooses a run in each step: the one whose addition lowers the error of the mean most.

    A run may be chosen several times. Of runs that are equally good, the first is chosen. If `error` is
    convex, that of the result is at most that of the best single run, which is chosen first.

    Args:
        runs: the predictions and the threshold of each. Their mean has the mean of the thresholds.
        best: the index of the best single run; None: the one with the lowest error.
    """
    total, threshold, chosen = np.zeros_like(runs[0][0]), 0.0, list[int]()
    for step in range(1, steps + 1):
        if chosen or best is None:
            best = int(np.argmin([error((total + p) / step, (threshold + t) / step) for p, t in runs]))
        total, threshold = total + runs[best][0], threshold + runs[best][1]
        chosen.append(best)
    return chosen


def error_of(metric: str, y: Y, weight: Weights, classes: int, quantiles: Levels = ()) -> Error:
    """The error of predictions for rows: a metric of `scores`, or `STANDARDISED_RMSE`.

    Where high values are good, it is the negative metric. Errors of regression and the log loss are convex,
    and written out here: they are computed for each run in each step. The arguments are those of `scores`.
    """
    sign = sign_of(metric)
    share = np.full(len(y), 1 / len(y)) if weight is None else weight / weight.sum()
    if metric == "log_loss":
        true = np.arange(len(y)), y[:, 0].astype(np.int64)
        return lambda predicted, _: float(-share @ np.log(predicted[true].clip(SMALLEST_PROBABILITY)))
    if metric == "mae" and not quantiles:
        return lambda predicted, _: float(np.mean(share @ abs(predicted - y)))
    if metric in ("rmse", STANDARDISED_RMSE) and not quantiles:
        sd = np.sqrt(share @ (y - share @ y) ** 2)
        unit = np.where((sd > 0) & (metric != "rmse"), sd, 1)
        return lambda predicted, _: float(np.mean(np.sqrt(share @ (predicted - y) ** 2) / unit))
    task = Task(classes, quantiles=quantiles)
    return lambda predicted, threshold: sign * scores(predicted, y, weight, task, threshold)[metric]
