"""Baselines that a network should beat, fitted to the same rows: a constant, a linear model and boosting."""

import logging
from collections.abc import Sequence
from weakref import WeakKeyDictionary

import numpy as np
from jaxtyping import Float64
from threadpoolctl import threadpool_limits

from mlplab.data.cache import RunData
from mlplab.data.splits.split import Rows
from mlplab.runs.baselines.models import BOOSTING, Boosting, Constant, Linear, Model, Output, TrainingData, X
from mlplab.runs.scores import Scores, scores

MODELS: dict[str, type[Model]] = {"boosting": Boosting, "linear": Linear, "constant": Constant}
"""The models of the baselines, in the order of results."""

FREE_SECONDS = 5.0
"""Baselines that take no longer are always fitted, so that for small tables nothing depends on the clock."""

WORTH_A_LINE_SECONDS = 3.0
"""Estimated seconds of fitting above which a line says that it begins."""

BLOCK_ROWS = 8192
"""Rows that are predicted at a time."""

log = logging.getLogger(__name__)

_FITTED: WeakKeyDictionary[RunData, dict[tuple[str, ...], "Baselines"]] = WeakKeyDictionary()


class Baselines:
    """Baselines fitted to the training rows of a table.

    Args:
        names: the baselines to fit.
        threads: the number of threads for fitting and predicting.
        refit: whether to fit them again to train and val, with what val has chosen: like an ensemble, whose
            networks together learn from both.
    """

    def __init__(
        self, data: TrainingData, names: Sequence[str], threads: int, *, refit: bool = False
    ) -> None:
        self.threads, self.classes = threads, data.classes
        self._part_scores: dict[str, dict[str, Scores]] = {}
        with threadpool_limits(threads), _quiet_products():
            self.models = {name: _fit(name, data, refit=refit) for name in MODELS if name in names}

    def predict(self, name: str, x: X, rows: Rows) -> Float64[np.ndarray, "chosen output"]:
        """The predictions of a baseline for rows of a table: the targets, or the probabilities of classes."""
        blocks = [rows[start : start + BLOCK_ROWS] for start in range(0, len(rows), BLOCK_ROWS)]
        with threadpool_limits(self.threads), _quiet_products():
            return np.concatenate([self.models[name].predict(x[block]) for block in blocks])

    def scores(
        self, x: X, y: Output, weight: Float64[np.ndarray, " row"] | None, rows: Rows
    ) -> dict[str, Scores]:
        """The scores of each baseline on rows of a table with the same features."""
        weights = None if weight is None else weight[rows]
        return {
            name: scores(self.predict(name, x, rows), y[rows], weights, self.classes) for name in self.models
        }

    def part_scores(self, data: RunData, part: str) -> dict[str, Scores]:
        """The scores on a part of the table that they were fitted to, computed only once."""
        if part not in self._part_scores:
            table = data.table
            self._part_scores[part] = self.scores(table.x, table.y, table.weight, data.split.parts()[part])
        return self._part_scores[part]


def _quiet_products() -> np.errstate:
    """No warnings of invalid values: memory beside a matrix, which OpenBLAS reads too, may cause them."""
    return np.errstate(invalid="ignore")


def _fit(name: str, data: TrainingData, *, refit: bool) -> Model:
    """A fitted baseline; the constant one if train has a single class, which scikit-learn refuses."""
    usable = data.usable(name)
    y = data.table.y[usable.train]
    only_one = data.classes and (y == y[0]).all()
    kind: type[Model] = MODELS["constant" if only_one else name]
    model = kind(usable)
    return kind(data.joined.usable(name), model.chosen) if refit else model


def baselines(data: RunData, names: Sequence[str], seconds: float, threads: int) -> Baselines:
    """The baselines for a table and a split, fitted only once.

    Left out, with a line in the log, are those that would take longer than the network, and boosting of a
    table that is larger than memory. The first call decides for all later ones.

    Args:
        names: the baselines that are wanted.
        seconds: the time that the network's training took.
        threads: the number of threads for fitting and predicting.
    """
    fitted, key = _FITTED.setdefault(data, {}), tuple(names)
    if key not in fitted:
        training, refit = TrainingData(data.table, data.split.train, data.split.val), bool(data.bagged)
        expected = {}
        for name in names:
            estimate = estimated_seconds(name, training, refit=refit)
            if data.table.memmapped and name == "boosting":
                log.info("baseline boosting skipped: the table is larger than memory")
            elif estimate > max(seconds, FREE_SECONDS):
                what = "baseline %s skipped: it would take about %.0f s, longer than the network (%.0f s)"
                log.info(what, name, estimate, seconds)
            else:
                expected[name] = estimate
        if sum(expected.values()) > WORTH_A_LINE_SECONDS:
            log.info("fitting the baselines, which takes about %.0f s", sum(expected.values()))
        fitted[key] = Baselines(training, [*expected], threads, refit=refit)
    return fitted[key]


def baseline_part_scores(
    data: RunData, names: Sequence[str], seconds: float, threads: int, part: str = "test"
) -> dict[str, Scores]:
    """The scores of `baselines` on the test or validation rows."""
    return baselines(data, names, seconds, threads).part_scores(data, part)


def estimated_seconds(name: str, data: TrainingData, *, refit: bool) -> float:
    """Roughly how long a baseline is fitted on one core: most take a third to three times as long.

    How many iterations a table takes is not known before; the other factors are times on an AMD EPYC of 2024.
    """
    if refit:
        return sum(estimated_seconds(name, rows, refit=False) for rows in (data, data.joined))
    rows, features = min(len(data.train), data.most_rows(name)), data.table.x.shape[1]
    outputs = data.classes if data.classes > 2 else data.table.y.shape[1]
    if name == "linear":
        columns = data.columns
        solver = 3e-8 * (columns + 10) * outputs if data.classes else 1.5e-10 * columns * min(rows, columns)
        return rows * (1e-7 * columns + solver)
    if name == "boosting":
        iterations, leaves = min(BOOSTING["max_iter"], 25 * rows**0.25), min(31, rows / 13)
        tree = leaves * (3e-5 + 1.1e-6 * features) + rows * (2.5e-8 + 2.5e-9 * features)
        return iterations * outputs * tree
    return 0.0
