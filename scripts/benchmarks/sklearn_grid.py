"""scikit-learn: MLPRegressor, and GridSearchCV over it.

python -m benchmarks.sklearn_grid ROWS RUNS EPOCHS BATCH HIDDEN...   (in the folder scripts)
"""
# mypy: disable-error-code="import-untyped,import-not-found"

import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, PredefinedSplit
from sklearn.neural_network import MLPRegressor

from benchmarks.rows import Rows


def regressor(hidden: Sequence[int], batch: int, epochs: int) -> Any:
    """Adam on minibatches, for exactly so many epochs."""
    return MLPRegressor(
        hidden_layer_sizes=tuple(hidden),
        learning_rate_init=0.01,
        alpha=0.0,
        batch_size=batch,
        max_iter=epochs,
        tol=0.0,
        n_iter_no_change=epochs + 1,
    )


def step_seconds(rows: Rows, hidden: Sequence[int], batch: int, epochs: int) -> float:
    """Of a step: by how much the epochs after the first lengthen a fit."""

    def fit(epochs: int) -> float:
        start = perf_counter()
        regressor(hidden, batch, epochs).fit(rows.x_train, rows.y_train)
        return perf_counter() - start

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return (fit(epochs) - fit(1)) / (epochs - 1) / -(-len(rows.x_train) // batch)


def main() -> None:
    """A sweep over seeds, each fitted on the training rows and scored on the validation rows."""
    path, *numbers = sys.argv[1:]
    runs, epochs, batch, *hidden = map(int, numbers)
    rows = Rows.load(Path(path))
    fold = np.repeat([-1, 0], [len(rows.x_train), len(rows.x_val)])
    search = GridSearchCV(
        regressor(hidden, batch, epochs),
        {"random_state": range(runs)},
        cv=PredefinedSplit(fold),
        refit=False,
        n_jobs=1,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        search.fit(np.concatenate([rows.x_train, rows.x_val]), np.concatenate([rows.y_train, rows.y_val]))


if __name__ == "__main__":
    main()
