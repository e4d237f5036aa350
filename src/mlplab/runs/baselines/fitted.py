"""Baselines that a network should beat, fitted to the same rows: a constant, a linear model and boosting."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from weakref import WeakKeyDictionary

import numpy as np
from jaxtyping import Float64
from threadpoolctl import threadpool_limits

from mlplab.data.cache import RunData
from mlplab.data.splits.split import Rows
from mlplab.runs.baselines.models import (
    BOOSTING,
    Boosting,
    Constant,
    Linear,
    Model,
    TrainingData,
    Weight,
    X,
    Y,
)
from mlplab.runs.scores import Scores, scores

NAMES = ("constant", "linear", "boosting")
"""Names of the baselines."""

MODELS: dict[str, type[Model]] = {"boosting": Boosting, "linear": Linear, "constant": Constant}
"""The models of the baselines, in the order of results."""

FREE_SECONDS = 5.0
"""Baselines that take no longer are always fitted, so that for small tables nothing depends on the clock."""

WORTH_A_LINE = 3.0
"""Estimated seconds of fitting above which a line says that it begins."""

BLOCK = 8192
"""Rows that are predicted at a time."""

log = logging.getLogger(__name__)

_FITTED: WeakKeyDictionary[RunData, dict[tuple[str, ...], "Baselines"]] = WeakKeyDictionary()
_SCORES: WeakKeyDictionary[RunData, dict[tuple[str, ...], dict[str, Scores]]] = WeakKeyDictionary()


class Baselines:
    """Baselines fitted to the training rows of a table, and to those of validation if the data say so.

    Args:
        names: the baselines to fit.
        threads: the number of threads for fitting and predicting.
    """

    def __init__(self, data: TrainingData, names: Sequence[str], threads: int) -> None:
        self.classes, self.threads = data.classes, threads
        with threadpool_limits(threads), _quiet_products():
            self.models = {name: fit(name, data) for name in MODELS if name in names}

    def scores(self, x: X, y: Y, weight: Weight | None, rows: Rows) -> dict[str, Scores]:
        """The scores of each baseline on rows of a table with the same features."""
        weights = None if weight is None else weight[rows]
        return {
            name: scores(self.predict(name, x, rows), y[rows], weights, self.classes) for name in self.models
        }

    def predict(self, name: str, x: X, rows: Rows) -> Float64[np.ndarray, "chosen output"]:
        """The predictions of a baseline for rows of a table: the targets, or the probabilities of classes."""
        blocks = [rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK)]
        with threadpool_limits(self.threads), _quiet_products():
            return np.concatenate([self.models[name].predict(x[block]) for block in blocks])


def _quiet_products() -> np.errstate:
    """No warnings of invalid values: memory beside a matrix, which OpenBLAS reads too, may cause them."""
    return np.errstate(invalid="ignore")


def baselines(data: RunData, names: Sequence[str], seconds: float, threads: int) -> Baselines:
    """The baselines for a table and a split, fitted only once.

    Left out, with a line in the log, are those that would take longer than the network, and boosting of a
    table that is larger than memory. The first call decides for all later ones.

    Args:
        names: the baselines that are wanted, of `NAMES`.
        seconds: the time that the network's training took.
        threads: the number of threads for fitting and predicting.
    """
    fitted, key = _FITTED.setdefault(data, {}), tuple(names)
    if key not in fitted:
        table, split = data.table, data.split
        schema = table.schema
        of_table = TrainingData(
            table.x,
            table.y,
            table.weight,
            split.train,
            split.val,
            schema.categories,
            len(schema.classes),
            refit=bool(data.bagged),
        )
        skipped = [name for name in names if _is_skipped(name, of_table, seconds, memmapped=table.memmapped)]
        used = [name for name in names if name not in skipped]
        expected = sum(estimated_seconds(name, of_table) for name in used)
        if expected > WORTH_A_LINE:
            log.info("fitting the baselines, which takes about %.0f s", expected)
        fitted[key] = Baselines(of_table, used, threads)
    return fitted[key]


def baseline_part_scores(
    data: RunData, names: Sequence[str], seconds: float, threads: int, part: str = "test"
) -> dict[str, Scores]:
    """The scores of `baselines` on the test or validation rows, computed only once."""
    computed, key = _SCORES.setdefault(data, {}), (part, *names)
    if key not in computed:
        table = data.table
        found = baselines(data, names, seconds, threads)
        computed[key] = found.scores(table.x, table.y, table.weight, data.split.parts()[part])
    return computed[key]


def fit(name: str, data: TrainingData) -> Model:
    """A fitted baseline; the constant one if train has a single class, which scikit-learn refuses."""
    usable = data.usable(name)
    y = usable.y[usable.train]
    only_one = data.classes and (y == y[0]).all()
    model = MODELS["constant" if only_one else name](usable)
    return model.refitted(data.joined.usable(name)) if data.refit else model


def estimated_seconds(name: str, data: TrainingData) -> float:
    """Roughly how long a baseline is fitted on one core: most take a third to three times as long.

    How many iterations a table takes is not known before; the other factors are times on an AMD EPYC of 2024.
    """
    if data.refit:
        return estimated_seconds(name, replace(data, refit=False)) + estimated_seconds(name, data.joined)
    rows, features = min(len(data.train), data.most_rows(name)), len(data.categories)
    outputs = data.classes if data.classes > 2 else data.y.shape[1]
    if name == "linear":
        columns = data.columns
        solver = 3e-8 * (columns + 10) * outputs if data.classes else 1.5e-10 * columns * min(rows, columns)
        return rows * (1e-7 * columns + solver)
    if name == "boosting":
        iterations, leaves = min(BOOSTING["max_iter"], 25 * rows**0.25), min(31, rows / 13)
        tree = leaves * (3e-5 + 1.1e-6 * features) + rows * (2.5e-8 + 2.5e-9 * features)
        return iterations * outputs * tree
    return 0.0


def _is_skipped(name: str, data: TrainingData, seconds: float, *, memmapped: bool) -> bool:
    """Whether a baseline takes too long or too much memory; logs why."""
    if memmapped and name == "boosting":
        log.info("baseline boosting skipped: the table is larger than memory")
        return True
    expected = estimated_seconds(name, data)
    if skipped := expected > max(seconds, FREE_SECONDS):
        what = "baseline %s skipped: it would take about %.0f s, longer than the network (%.0f s)"
        log.info(what, name, expected, seconds)
    return skipped
