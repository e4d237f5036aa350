"""Prediction sets: their law, their columns and their scores."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from support import train_into

import mlplab
from mlplab.conformal.intervals import highest_level, mean_scores
from mlplab.conformal.prediction_sets import (
    lowest_probability,
    set_scores,
    sets_of,
)
from mlplab.conformal.residuals import Residuals
from mlplab.conformal.uncertainty import Uncertainty
from mlplab.data.schema import Schema
from mlplab.errors import UserError
from mlplab.sklearn import TableClassifier


@pytest.mark.parametrize(("rows", "level"), [(9, 0.8), (30, 0.9), (200, 0.6)])
def test_a_set_has_the_class_of_a_new_row_with_its_probability(rows: int, level: float) -> None:
    """Whatever probabilities the network gives: here, far too certain ones."""
    source, times = np.random.default_rng(0), 3000
    p = source.dirichlet([0.5] * 4, size=(times, rows + 1))
    y = (p.cumsum(2) < source.uniform(size=(times, rows + 1, 1))).sum(2)
    certain = p**3 / (p**3).sum(2, keepdims=True)
    inside = []
    for probabilities, true in zip(certain, y, strict=True):
        error = 1 - probabilities[np.arange(rows), true[:-1]]
        residuals = Residuals.of(error, np.zeros(rows), np.ones(rows), rows)
        (of_new,) = sets_of(probabilities[-1:], lowest_probability([residuals], level))
        assert of_new[probabilities[-1].argmax()]
        inside.append(of_new[true[-1]])
    assert level - 0.02 < np.mean(inside) < level + 1 / (rows + 1) + 0.02


@pytest.mark.parametrize("seed", range(20))
def test_equal_probabilities_are_in_the_same_sets(seed: int) -> None:
    """Of inputs that repeat, probabilities do, too; rounding must not leave the class at the limit out."""
    source = np.random.default_rng(seed)
    p = source.dirichlet(np.ones(4), size=5)[source.integers(5, size=50)]
    y = (p.cumsum(1) < source.uniform(size=(50, 1))).sum(1)
    residuals = Residuals.of(1 - p[np.arange(50), y], np.zeros(50), np.ones(50), 50)
    sets = sets_of(p, lowest_probability([residuals], 0.9))
    assert sets[np.arange(50), y].mean() >= 0.9


@pytest.mark.parametrize(("rows", "level"), [(9, 0.9), (99, 0.99)])
def test_the_fewest_rows_of_a_level(rows: int, level: float) -> None:
    def highest(rows: int) -> float:
        residuals = Residuals.of(np.arange(rows) / rows, np.zeros(rows), np.ones(rows), rows)
        return highest_level([residuals], 1)

    assert highest(rows) >= level > highest(rows - 1)


def test_scores_are_weighted_means() -> None:
    sets = np.array([[True, False, True], [False, True, False], [True, True, True]])
    by_row = set_scores(sets, np.array([[0.0], [2], [1]]))
    found = mean_scores(by_row, np.array([1.0, 2, 1]), 0.8)
    assert found == pytest.approx({"coverage_0.8": 0.5, "set_size_0.8": (2 + 2 * 1 + 3) / 4})


def test_the_coverage_of_a_class_is_scored_where_it_is_far_too_low() -> None:
    """Of 0: 95 of 100 rows, of 1: 2 of 37, of 2: 7 of 9 (chance), of 3: 1 of 2 (chance), of 4: none."""
    rows, inside = [100, 37, 9, 2], [95, 2, 7, 1]
    y = np.repeat([0.0, 1, 2, 3], rows)[:, None]
    predicted = np.repeat(4, len(y))
    for number, count in enumerate(inside):
        predicted[np.flatnonzero(y == number)[:count]] = number
    probabilities = np.eye(5)[predicted]
    residuals = Residuals.of(np.full(20, 0.5), np.zeros(20), np.ones(20), 20)
    uncertainty = Uncertainty(Schema((), ("y",), tuple("abcde")), [[residuals]])
    for weight in (None, np.full(len(y), 3.0)):
        found = uncertainty.scores(probabilities, y, weight)
        by_class = {name: value for name, value in found.items() if "/" in name}
        assert by_class == pytest.approx({"coverage_0.9/b": 2 / 37})
    outweighs = np.where(np.arange(len(y)) == 110, 1e6, 1.0)  # a row of class 1
    assert not any("/" in name for name in uncertainty.scores(probabilities, y, outweighs))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of classes that are hard to tell apart, and its table."""
    folder = tmp_path_factory.mktemp("runs")
    source = np.random.default_rng(0)
    number = source.integers(3, size=600)
    x = pl.DataFrame({"x": number + source.normal(size=600), "z": source.normal(size=600)})
    x.with_columns(y=pl.Series(np.array(["a", "b b", "c"])[number])).write_csv(folder / "table.csv")
    words = ("data=csv", f"data.path={folder / 'table.csv'}", "data.target=y", "figures=none", "baselines=[]")
    train_into(folder, (*words, "trainer.max_epochs=20", "ensemble=3"))
    return folder


def test_a_run_predicts_sets(folder: Path) -> None:
    run, frame = mlplab.load(folder / "0"), pl.read_csv(folder / "table.csv")
    found = run.predict(frame, sets="0.8,0.95")
    assert found.columns[-2:] == ["set_0.8", "set_0.95"]
    narrow, wide = ([cell.split(" | ") for cell in found[name]] for name in ("set_0.8", "set_0.95"))
    assert all({*few} <= {*many} for few, many in zip(narrow, wide, strict=True))
    for row, few in zip(found.iter_rows(named=True), narrow, strict=True):
        assert row["prediction"] in few
        least = min(row[f"probability_{label}"] for label in few)
        assert all(row[f"probability_{label}"] < least for label in {"a", "b b", "c"} - {*few})
    covered = np.mean([label in many for label, many in zip(frame["y"], wide, strict=True)])
    assert 0.93 < covered < 0.99
    assert run.predict(frame, sets=0.8).columns[-1] == "set"


def test_the_sets_of_test_rows_are_scored(folder: Path) -> None:
    run, frame = mlplab.load(folder / "0"), pl.read_csv(folder / "table.csv")
    test = frame[run.test_predictions["row"].to_numpy() - 1]
    sets = [cell.split(" | ") for cell in run.predict(test, sets=0.9)["set"]]
    inside = [label in labels for label, labels in zip(test["y"], sets, strict=True)]
    for scores in (run.metrics, run.evaluate()):
        assert scores["test/coverage_0.9"] == pytest.approx(np.mean(inside))
        assert scores["test/set_size_0.9"] == pytest.approx(np.mean(list(map(len, sets))))


def test_an_estimator_predicts_sets(folder: Path) -> None:
    frame = pl.read_csv(folder / "table.csv")
    model = TableClassifier(max_epochs=10).fit(frame.select("x", "z"), frame["y"])
    sets = model.predict_set(frame.select("x", "z"), 0.8)
    assert sets.shape == (600, 3)
    assert (
        0.75
        < np.mean([label in model.classes_[of] for label, of in zip(frame["y"], sets, strict=True)])
        < 0.9
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"sets": 0}, "sets=0: a level is above 0 and below 1, such as 0.9"),
        (
            {"sets": 0.999},
            "held out [0-9]+ rows, too few for sets=0.999\n  at most sets=0.99[0-9], or train on",
        ),
        ({"interval": 0.9}, "predicts classes, which have no intervals\n  use sets=0.9"),
    ],
)
def test_what_has_no_sets(folder: Path, words: dict[str, float], message: str) -> None:
    with pytest.raises(UserError, match=message):
        mlplab.load(folder / "0").predict({}, **words)
