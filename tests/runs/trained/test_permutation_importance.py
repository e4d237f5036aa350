"""Permutation importance, against predictions of frames that are changed by hand."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import train_into

import mlplab
from mlplab.commands.evaluate import compute_importance, score
from mlplab.commands.evaluation_rows import EvaluationRows
from mlplab.data.cache import DataCache
from mlplab.errors import UserError
from mlplab.runs.trained import permutation_importance as module
from mlplab.runs.trained.ensemble import Ensemble
from mlplab.runs.trained.permutation_importance import MAX_REPEATS, MAX_ROWS, MIN_REPEATS, MIN_ROWS
from mlplab.training.scoring.scores import Task, scores

ROWS = 120
QUICK = ("data=csv", "data.path=t.csv", "model.hidden=[8]", "trainer.max_epochs=8", "baselines=[]")


def dropped(*columns: str) -> tuple[str, ...]:
    return (*QUICK, "logger=[]", *(f"+data.columns.{name}=drop" for name in columns))


NUMBERS = (*dropped("z", "label", "w"), "data.target=y")
CLASSES = (*dropped("y", "z", "w"), "data.target=label")
WEIGHTED = (*dropped("label"), "data.target=[y,z]", "data.weight=w")
KINDS = {
    "numbers": [NUMBERS],
    "classes": [CLASSES],
    "weights and targets": [WEIGHTED],
    "different networks": [NUMBERS, (*NUMBERS, "model.hidden=[9]", "seed=1"), (*NUMBERS, "ensemble=2")],
}


@pytest.fixture(autouse=True)
def frame(here: Path, full_speed: None) -> pl.DataFrame:
    """A table with columns of all kinds, of which `noise` says nothing and `a` most about the targets."""
    source = np.random.default_rng(0)
    a, noise = source.normal(size=(2, ROWS)).round(3)
    group, days = source.integers(0, 3, ROWS), source.integers(0, 2000, ROWS)
    y = 3 * a + (group == 1) + days / 2000 + 0.1 * source.normal(size=ROWS)
    columns = {
        "a": [None if row % 17 == 3 else value for row, value in enumerate(a)],
        "account": 1_700_000_000 + source.integers(0, 500, ROWS),
        "noise": noise,
        "group": np.array(["red", "green", "blue"])[group],
        "yes": source.random(ROWS) < 0.5,
        "day": np.datetime64("1970-01-01") + days.astype("timedelta64[D]"),
        "y": y,
        "z": 100 - 50 * y**2,
        "label": np.array(["low", "middle", "high"])[np.digitize(y, [-1, 1])],
        "w": source.integers(0, 3, ROWS),
    }
    (frame := pl.DataFrame(columns)).write_csv(here / "t.csv")
    return frame


def trained(folder: Path, kind: str) -> Ensemble:
    for number, words in enumerate(KINDS[kind]):
        train_into(folder / "new", words)
        (folder / "new/0").rename(folder / f"{number}")
    return mlplab.load(folder, runs="all")


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_what_predictions_of_shuffled_frames_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, frame: pl.DataFrame, kind: str
) -> None:
    monkeypatch.setattr(module, "MAX_REPEATS", repeats := 3)
    ensemble = trained(tmp_path / "s", kind)
    found = score(ensemble, DataCache(), importance=True).importance
    data = DataCache().data(ensemble.config[0])
    each_weight = np.ones(ROWS) if data.table.weight is None else data.table.weight
    places = data.split.test[each_weight[data.split.test] > 0]
    rows, y, weight = frame[places], data.table.y[places], each_weight[places]
    classes = len(ensemble.schema.classes)
    assert found.metric == ("log_loss" if classes else "rmse")
    assert (found.rows, found.repeats) == (len(y), repeats)

    def error(frame: pl.DataFrame) -> float:
        predicted = (ensemble.predict_proba if classes else ensemble.predict)(frame).reshape(len(y), -1)
        return scores(predicted, y, weight, Task(classes, ensemble.schema.targets))[found.metric]

    assert found.error == pytest.approx(error(rows), rel=1e-5)
    source = np.random.default_rng(ensemble.config[0].seed)
    orders = [source.permutation(len(y)) for _ in range(repeats)]
    assert {column.name for column in found.columns} == {*ensemble.schema.names}
    for column in found.columns:
        cells = rows[column.name]
        increases = [error(rows.with_columns(cells.gather(order))) - found.error for order in orders]
        expected = np.mean(increases), np.std(increases, ddof=1)
        assert (column.mean, column.sd) == pytest.approx(expected, rel=1e-3, abs=1e-4 * found.error)
    means = [column.mean for column in found.columns]
    assert means == sorted(means, reverse=True)
    no_weight = EvaluationRows("t.csv", places, data.table.x[places], data.table.schema, y, np.zeros(len(y)))
    with pytest.raises(UserError, match=r"all rows have weight 0\n  give rows with a weight above 0"):
        compute_importance(ensemble, [no_weight], "test")


def test_a_budget_draws_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ensemble = trained(tmp_path / "s", "numbers")
    monkeypatch.setattr(module, "MIN_ROWS", 10)
    monkeypatch.setattr(module, "BUDGET", 1)
    found = score(ensemble, DataCache(), importance=True).importance
    assert (found.rows, found.repeats) == (10, MIN_REPEATS)
    assert "10 of 18 rows, each column shuffled 3 times" in found.basis[0]
    assert found.columns[0].name == "a"


@given(st.integers(1, 10**6), st.integers(1, 10**4), st.integers(1, 10**8))
def test_the_budget_lowers_first_the_rows_then_the_shuffles(rows: int, columns: int, weights: int) -> None:
    used, repeats = module.affordable(rows, columns, weights)
    assert min(rows, MIN_ROWS) <= used <= min(rows, MAX_ROWS)
    assert MIN_REPEATS <= repeats <= MAX_REPEATS
    if repeats < MAX_REPEATS:
        assert used == min(rows, MIN_ROWS)
    if repeats > MIN_REPEATS or used > min(rows, MIN_ROWS):
        assert used * repeats * columns * weights <= module.BUDGET


@pytest.mark.parametrize("classes", [0, 2, 3])
def test_errors_are_the_metrics_of_scores(classes: int) -> None:
    source = np.random.default_rng(0)
    weight = source.random(30)
    y = source.integers(0, classes, (30, 1)).astype(float) if classes else source.normal(size=(30, 2))
    predicted = source.dirichlet(np.ones(classes), 30) if classes else source.normal(size=(30, 2))
    metric, error = module.error_of(y, weight, classes, ())
    assert error(predicted) == pytest.approx(scores(predicted, y, weight, Task(classes))[metric])
    predicted[:] = 0
    assert np.isfinite(error(predicted))  # also of a class that is called impossible
