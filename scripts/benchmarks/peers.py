"""What scikit-learn, polars and pandas do, in processes of their own; and what all peers are given to do.

python -m benchmarks.peers CLOCK FUNCTION WORD…   (a task is JSON)
"""
# mypy: disable-error-code="import-untyped"

import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import time
from typing import Any, NamedTuple

import numpy as np

from benchmarks import child

Answer = dict[str, Any]

LR, DECAY, DROPOUT, DELTA = (1e-4, 1e-1), (1e-4, 1.0), (0.0, 0.5), (0.1, 3.0)
"""What a search may choose: the lowest and highest values; all but dropout on a logarithmic scale."""


@dataclass(frozen=True)
class Task:
    """What is trained.

    Attributes:
        rows: for training; there are an eighth as many for validation, and for the test.
        runs: how many networks are trained, with different seeds.
        seed: of a search.
        dropout: of hidden units, in JAX's networks.
    """

    features: int
    hidden: Sequence[int]
    batch: int
    rows: int
    epochs: int
    runs: int = 1
    seed: int = 0
    dropout: float = 0.0

    @property
    def steps(self) -> int:
        """Of an epoch."""
        return -(-self.rows // self.batch)


class Rows(NamedTuple):
    """Standardised inputs `[row, feature]` and targets `[row]`."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_val: np.ndarray
    y_val: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


def drawn_rows(task: str) -> tuple[Task, Rows]:
    """Normal inputs, and a target that depends on some of them."""
    of, drawn = Task(**json.loads(task)), np.random.default_rng(0)
    x = drawn.normal(size=(of.rows + 2 * (of.rows // 8), of.features)).astype(np.float32)
    parts = np.split(x, [of.rows, of.rows + of.rows // 8])
    return of, Rows(*(values for part in parts for values in (part, np.tanh(part[:, 0] * part[:, 1]))))


def _regressor(task: Task, epochs: int) -> Any:
    """Adam on minibatches, for exactly so many epochs."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPRegressor

    warnings.simplefilter("ignore", ConvergenceWarning)
    return MLPRegressor(
        hidden_layer_sizes=task.hidden,
        learning_rate_init=0.01,
        alpha=0.0,
        batch_size=task.batch,
        max_iter=epochs,
        tol=0.0,
        n_iter_no_change=epochs + 1,
    )


def sklearn_step(task: str) -> Answer:
    """The seconds of a step: by how much the epochs after the first lengthen a fit."""
    of, rows = drawn_rows(task)
    short, long = _regressor(of, 1), _regressor(of, of.epochs)
    one, all_epochs = (
        child.timed(partial(model.fit, rows.x_train, rows.y_train))["seconds"] for model in (short, long)
    )
    return {"seconds": (all_epochs - one) / (of.epochs - 1) / of.steps}


def sklearn_sweep(task: str) -> Answer:
    """GridSearchCV over seeds, each fitted on the training rows and scored on the validation rows."""
    from sklearn.model_selection import GridSearchCV, PredefinedSplit

    of, rows = drawn_rows(task)
    fold = PredefinedSplit(np.repeat([-1, 0], [len(rows.x_train), len(rows.x_val)]))
    seeds = {"random_state": range(of.runs)}
    search = GridSearchCV(_regressor(of, of.epochs), seeds, cv=fold, refit=False, n_jobs=1)
    search.fit(np.concatenate([rows.x_train, rows.x_val]), np.concatenate([rows.y_train, rows.y_val]))
    return {}


def search_until(
    errors: Callable[[Task, Rows, Any], list[float]], task: str, table: str, split: str, target: str, end: str
) -> Answer:
    """Optuna with TPE, one trial at a time: moments when trials ended, and the lowest error until then.

    Args:
        errors: trains the network of a trial; the RMSE on the standardised validation rows after each epoch.
        table: a CSV file whose last column is the target.
        split: a file with a word for each row: train, val or test.
        target: the RMSE that ends the search.
        end: the moment that ends it otherwise, in seconds since 1970.
    """
    import optuna
    import polars as pl

    of, curve = Task(**json.loads(task)), list[tuple[float, float]]()
    values = pl.read_csv(table).to_numpy().astype(np.float64)
    words = np.array(Path(split).read_text(encoding="utf-8").split())
    train = values[words == "train"]
    values, unit = (values - train.mean(0)) / train.std(0), float(train[:, -1].std())
    parts = [values[words == word].astype(np.float32) for word in ("train", "val", "test")]
    rows = Rows(*(columns for part in parts for columns in (part[:, :-1], part[:, -1])))

    def ended(study: optuna.Study, _: optuna.trial.FrozenTrial) -> None:
        if study.best_trials:
            curve.append((time(), study.best_value))
        if time() >= float(end) or (curve and curve[-1][1] <= float(target)):
            study.stop()

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=of.seed))

    def objective(trial: optuna.Trial) -> float:
        return unit * float(np.nanmin(errors(of, rows, trial)))

    study.optimize(objective, callbacks=[ended], catch=(ValueError,))  # of weights that are no longer finite
    return {"curve": curve, "trials": len(study.trials)}


def copy(source: str, target: str) -> Answer:
    """Rows in and out by polars, as text."""
    import polars as pl

    schema = dict.fromkeys(pl.scan_csv(source).collect_schema().names(), pl.String)
    return child.timed(lambda: pl.scan_csv(source, schema=schema).sink_csv(target))


def polars(path: str) -> Answer:
    """A CSV file to a tensor of float32, which the reader is told."""
    import polars as pl
    import torch

    schema = dict.fromkeys(pl.scan_csv(path).collect_schema().names(), pl.Float32)
    return child.timed(lambda: torch.from_numpy(pl.read_csv(path, schema=schema).to_numpy(order="c")))


def pandas(path: str) -> Answer:
    """The same by the parser of pandas in C."""
    import pandas as pd
    import torch

    read = partial(pd.read_csv, path, dtype=np.float32)
    return child.timed(lambda: torch.from_numpy(np.ascontiguousarray(read())))


if __name__ == "__main__":
    child.main(sklearn_sweep, sklearn_step, copy, polars, pandas)
