"""scikit-learn's MLPRegressor, which knows neither dropout nor Huber's loss; epoch by epoch.

python -m benchmarks.search.sklearn_peer TASK   (in the folder scripts)
"""
# mypy: disable-error-code="import-untyped,import-not-found"

from collections.abc import Callable
from math import sqrt

import numpy as np
import optuna
import sklearn
from sklearn.neural_network import MLPRegressor

from benchmarks.rows import Rows
from benchmarks.search.command import BATCH_SIZE, HIDDEN, LR
from benchmarks.search.peer import Task, search

ALPHA = (1e-4, 10.0)
"""It is divided by the rows of a batch, so that this is less than it seems."""


def train(task: Task, rows: Rows, trial: optuna.Trial, report: Callable[[float], None]) -> None:
    """Adam, as its `fit` does it, with the validation that `fit` could only do on other rows."""
    model = MLPRegressor(
        hidden_layer_sizes=HIDDEN,
        learning_rate_init=trial.suggest_float("lr", *LR, log=True),
        alpha=trial.suggest_float("alpha", *ALPHA, log=True),
        batch_size=BATCH_SIZE,
        random_state=task.seed,
    )
    for _ in range(task.epochs):
        model.partial_fit(rows.x_train, rows.y_train)
        report(sqrt(np.square(model.predict(rows.x_val) - rows.y_val).mean()))


if __name__ == "__main__":
    sklearn.set_config(assume_finite=True, skip_parameter_validation=True)  # as often as there are epochs
    search(train)
