"""Which columns matter for predictions: permutation importance.

It is how much worse predictions become when the cells of a column are shuffled (Breiman 2001, for any model:
Fisher, Rudin and Dominici 2019).
"""

import logging
from collections.abc import Callable

import numpy as np

from mlplab.conformal.intervals import Levels, Y
from mlplab.console import progress_lines
from mlplab.runs.baselines.models import Weights
from mlplab.runs.trained.ensemble import Ensemble, Features
from mlplab.training.scoring.mean_predictions import SMALLEST_PROBABILITY, Predicted
from mlplab.training.scoring.scores import Task, scores

Error = Callable[[Predicted], float]

log = logging.getLogger(__name__)

MAX_ROWS, MIN_ROWS = 10_000, 200  # the most rows that are used, and the fewest that a budget leaves

MAX_REPEATS, MIN_REPEATS = 10, 3  # the most shuffles of a column, and the fewest that a budget leaves

# Multiplications of weights that all shuffles may take together: about ten seconds of one core.
BUDGET = 4 * 10**11


def affordable(rows: int, columns: int, weights: int) -> tuple[int, int]:
    """The number of rows and of shuffles that the budget allows: it lowers first the rows, then the shuffles.

    `weights` is the number of weights of all networks, which multiply each row.
    """
    passes = BUDGET // (columns * weights)
    used = min(rows, MAX_ROWS, max(MIN_ROWS, passes // MAX_REPEATS))
    return used, min(MAX_REPEATS, max(MIN_REPEATS, passes // used))


def error_of(y: Y, weight: Weights, classes: int, quantiles: Levels) -> tuple[str, Error]:
    """The metric by which importance is measured, and the function that computes it.

    It is the log loss of classes, the pinball loss of quantiles, and else the mean RMSE of the targets.
    """
    share = np.full(len(y), 1 / len(y)) if weight is None else weight / weight.sum()
    if classes:
        true = np.arange(len(y)), y[:, 0].astype(np.int64)
        return "log_loss", lambda p: float(-share @ np.log(p[true].clip(SMALLEST_PROBABILITY)))
    if quantiles:
        return "pinball", lambda p: scores(p, y, weight, Task(0, quantiles=quantiles))["pinball"]
    return "rmse", lambda p: float(np.mean(np.sqrt(share @ (p - y) ** 2)))


def permutation_importance(
    ensemble: Ensemble, x: Features, error: Error, repeats: int
) -> tuple[float, list[tuple[str, float, float]]]:
    """The error of predictions, and the importance of each column for it, the highest first.

    The importance is the increase of the error when the column's cells are shuffled: mean and standard
    deviation. All features of a column, such as the parts of a date, are shuffled together; a missing value
    is a cell like others. Columns that say the same share their importance: when one is shuffled, the network
    still has the other. All columns are shuffled in the same orders, by the seed of the first run.

    Args:
        repeats: how often each column is shuffled.

    Raises:
        UserError: if a prediction is not finite.
    """

    def error_on(x: Features) -> float:
        return error(ensemble.predict_features(x)[0])

    source, base = np.random.default_rng(ensemble.config[0].seed), error_on(x)
    orders = [source.permutation(len(x)) for _ in range(repeats)]
    schema, importances = ensemble.schema, list[tuple[str, float, float]]()
    columns = len(schema.inputs)
    with progress_lines(log.info, lambda: f"importance: {len(importances):,} of {columns:,} columns"):
        for name, cells in zip(schema.names, schema.feature_slices, strict=True):
            increases = []
            for order in orders:
                shuffled = x.copy()
                shuffled[:, cells] = x[order, cells]
                increases.append(error_on(shuffled) - base)
            importances.append((name, float(np.mean(increases)), float(np.std(increases, ddof=1))))
    return base, sorted(importances, key=lambda importance: -importance[1])
