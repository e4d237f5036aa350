"""Fits the baselines of a run (a constant, a linear model, boosting) to its rows, or to a sample of many."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from weakref import WeakKeyDictionary

import numpy as np
from jaxtyping import Float64
from threadpoolctl import threadpool_limits

from mlplab.config import TrainConfig
from mlplab.conformal.intervals import bounds_between, interval_levels, interval_scores, mean_scores
from mlplab.data.cache import RunData
from mlplab.data.splits.split import Rows, sample_rows
from mlplab.runs.baselines.models import (
    MAX_CATEGORIES,
    Chosen,
    Model,
    Output,
    TrainingData,
    Weights,
    X,
    fit_boosting,
    fit_constant,
    fit_linear,
)
from mlplab.training.outcome import Metrics, finite
from mlplab.training.run import Run
from mlplab.training.scoring.scores import Scores, Task, scores

# What fits the baselines, in the order of results.
MODELS: dict[str, Callable[[TrainingData, Chosen], Model]] = {
    "boosting": fit_boosting,
    "linear": fit_linear,
    "constant": fit_constant,
}

# Smallest and largest number of training rows for linear models; of more, a sample is used.
FITTED_ROWS = (2000, 100_000)

# Largest number of training rows × features × outputs for gradient boosting, which takes up to half a minute
# of one core; and the least number of rows in the random sample that is used if there are more.
BOOSTED_VALUES, FEWEST_BOOSTED = 10**7, 2000

BLOCK_ROWS = 8192

log = logging.getLogger(__name__)

_FITTED: WeakKeyDictionary[RunData, dict[tuple[object, ...], "Baselines"]] = WeakKeyDictionary()


class Baselines:
    """Baselines fitted to the training rows of a table.

    Args:
        threads: the number of threads for fitting and predicting.
        refit: whether to fit them again to train and val, with what val has chosen: like an ensemble, whose
            networks together learn from both.
    """

    def __init__(self, data: TrainingData, names: Sequence[str], threads: int, refit: bool = False) -> None:
        self.threads, self.classes, self.quantiles = threads, data.classes, data.quantiles
        self._test_scores: dict[str, Scores] = {}
        with threadpool_limits(threads), np.errstate(invalid="ignore"):  # see `predict`
            self.models = {name: _fit(name, data, refit=refit) for name in MODELS if name in names}

    def predict(self, name: str, x: X, rows: Rows) -> Float64[np.ndarray, "chosen output"]:
        """What a baseline predicts for rows of a table: targets, probabilities of classes, or quantiles."""
        blocks = [rows[start : start + BLOCK_ROWS] for start in range(0, len(rows), BLOCK_ROWS)]
        # OpenBLAS also reads memory beside a matrix, which may cause warnings of invalid values.
        with threadpool_limits(self.threads), np.errstate(invalid="ignore"):
            return np.concatenate([self.models[name].predict(x[block]) for block in blocks])

    def scores(self, x: X, y: Output, weight: Weights, rows: Rows) -> dict[str, Scores]:
        """The scores of each baseline on rows of a table with the same features."""
        weights, found = None if weight is None else weight[rows], dict[str, Scores]()
        for name in self.models:
            predicted = self.predict(name, x, rows)
            task = Task(self.classes, quantiles=self.quantiles)
            found[name] = scores(predicted, y[rows], weights, task)
            for level in interval_levels(self.quantiles)[:1]:
                by_row = interval_scores(bounds_between(predicted, self.quantiles, level), y[rows], level)
                found[name] |= mean_scores(by_row, weights, level)
        return found

    def test_scores(self, data: RunData) -> dict[str, Scores]:
        """The scores on the test rows of the table that they were fitted to, computed only once."""
        table = data.table
        if not self._test_scores:
            self._test_scores = self.scores(table.x, table.y, table.weight, data.split.test)
        return self._test_scores


def _fit(name: str, data: TrainingData, *, refit: bool) -> Model:
    """A fitted baseline; the constant one if train has a single class, which scikit-learn refuses."""
    most = _most_rows(name, data)
    usable = _usable(data, most)
    if len(data.train) > most:
        log.info("baseline %s learns from %s of the training rows", name, f"{len(usable.train):,}")
    y = data.table.y[usable.train]
    only_one = data.classes and (y == y[0]).all()
    fit = MODELS["constant" if only_one else name]
    model = fit(usable, None)
    return fit(_usable(data.joined, most), model.chosen) if refit else model


def _usable(data: TrainingData, most: int) -> TrainingData:
    """A sample if there are too many rows, and none with weight 0.

    Validation rows of classes that no training row has are left out. If none is left, the training rows
    take their place.
    """
    y, weight = data.table.y, data.table.weight
    train, val = (
        sample_rows(rows if weight is None else rows[weight[rows] > 0], most)
        for rows in (data.train, data.val)
    )
    if data.classes:
        val = val[np.isin(y[val, 0], y[train, 0])]
    return replace(data, train=train, val=val if len(val) else train)


def _most_rows(name: str, data: TrainingData) -> int:
    categories = data.table.schema.category_counts
    if name == "linear":  # a number may get an indicator column
        columns = sum(min(size, MAX_CATEGORIES) if size else 2 for size in categories)
        # In between, rows × columns² for ridge, and 100 × rows × columns × classes for logistic regression,
        # stay below 5e9, which takes a second or two.
        work = columns * (100 * data.classes or columns)
        return int(np.clip(5e9 / work, *FITTED_ROWS))
    if name == "boosting":
        outputs = data.classes if data.classes > 2 else len(data.quantiles) or data.table.y.shape[1]
        return max(FEWEST_BOOSTED, BOOSTED_VALUES // (len(categories) * outputs))
    return len(data.table.x)


def fit_baselines(data: RunData, run: TrainConfig) -> Baselines:
    """The baselines of a run for its table and split, fitted only once."""
    names, quantiles = tuple(run.baselines), run.quantiles
    fitted, key = _FITTED.setdefault(data, {}), (names, quantiles)
    if key not in fitted:
        training = TrainingData(data.table, data.split.train, data.split.val, quantiles)
        fitted[key] = Baselines(training, names, run.threads, refit=bool(data.bagged))
    return fitted[key]


def baseline_metrics(run: Run) -> Metrics:
    """The scores of a run's baselines on its test rows, by names such as `boosting/test/rmse`."""
    fitted = fit_baselines(run.data, run.config).test_scores(run.data)
    return finite(
        {f"{key}/test/{name}": value for key, scores in fitted.items() for name, value in scores.items()}
    )
