"""What scikit-learn, polars and pandas do, in processes of their own; and what all peers are given to do."""
# mypy: disable-error-code="import-untyped"

import json
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from benchmarks import child

Answer = dict[str, Any]

Rows = tuple[np.ndarray, np.ndarray]  # standardised inputs `[row, feature]`, and targets `[row]`


@dataclass(frozen=True)
class Task:
    """What is trained."""

    features: int
    hidden: Sequence[int]
    batch: int
    rows: int  # for training; there are an eighth as many for validation, and for the test
    epochs: int
    runs: int = 1  # networks that are trained, with different seeds
    dropout: float = 0.0  # of hidden units, in JAX's networks

    @property
    def steps(self) -> int:
        return -(-self.rows // self.batch)

    def json(self) -> str:
        """What a function in another process is given."""
        return json.dumps(asdict(self))


def drawn_rows(task: str) -> tuple[Task, Rows, Rows, Rows]:
    """Rows for training, validation and test: normal inputs, and a target that depends on two of them."""
    of, drawn = Task(**json.loads(task)), np.random.default_rng(0)
    x = drawn.normal(size=(of.rows + 2 * (of.rows // 8), of.features)).astype(np.float32)
    parts = np.split(x, [of.rows, of.rows + of.rows // 8])
    train, val, test = ((part, np.tanh(part[:, 0] * part[:, 1])) for part in parts)
    return of, train, val, test


def _regressor(task: Task, epochs: int) -> Any:
    """Adam on minibatches, for exactly so many epochs."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPRegressor

    warnings.simplefilter("ignore", ConvergenceWarning)
    steps = {"batch_size": task.batch, "learning_rate_init": 0.01, "alpha": 0.0}
    ends = {"max_iter": epochs, "tol": 0.0, "n_iter_no_change": epochs + 1}
    return MLPRegressor(hidden_layer_sizes=task.hidden, **steps, **ends)


def sklearn_step(task: str) -> Answer:
    """The seconds of a step: by how much the epochs after the first lengthen a fit."""
    of, train, *_ = drawn_rows(task)
    models = [_regressor(of, epochs) for epochs in (1, of.epochs)]
    one, all_epochs = (child.timed(partial(model.fit, *train))["seconds"] for model in models)
    return {"seconds": (all_epochs - one) / (of.epochs - 1) / of.steps}


def sklearn_sweep(task: str) -> Answer:
    """GridSearchCV over seeds, each fitted on the training rows and scored on the validation rows."""
    from sklearn.model_selection import GridSearchCV, PredefinedSplit

    of, train, val, _ = drawn_rows(task)
    fold = PredefinedSplit(np.repeat([-1, 0], [len(train[0]), len(val[0])]))
    seeds = {"random_state": range(of.runs)}
    search = GridSearchCV(_regressor(of, of.epochs), seeds, cv=fold, refit=False, n_jobs=1)
    search.fit(*map(np.concatenate, zip(train, val, strict=True)))
    return {}


def copy(source: str, target: str) -> Answer:
    """Rows in and out by polars, as text."""
    import polars as pl

    return child.timed(lambda: pl.scan_csv(source, infer_schema=False).sink_csv(target))


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
