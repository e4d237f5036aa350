"""Runs that predict intervals, sets and quantiles: their columns, their scores, and what they refuse."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jaxtyping
import numpy as np
import polars as pl
import pytest
from support import SMALL, resolved, train_into

import mlplab
from mlplab.conformal.intervals import bounds_of, interval_scores, mean_scores
from mlplab.conformal.residual_quantiles import Residuals, residuals_of
from mlplab.data.cache import DataCache
from mlplab.errors import UserError
from mlplab.runs.trained.load import load_runs
from mlplab.runs.trained.trained_run import TrainedRun
from mlplab.sklearn import TableClassifier, TableRegressor
from mlplab.training.scoring.scores import Task, scores

LEVEL = "a level is above 0 and below 1, such as 0.9"
LEVELS = [0.1, 0.5, 0.9]
QUANTILES = ("loss=quantile", "loss.levels=[0.1,0.5,0.9]")


def csv(path: Path, target: str = "y") -> tuple[str, ...]:
    return "data=csv", f"data.path={path}", f"data.target={target}", "logger=[]"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Runs, by what their names say: of numbers, of classes that are hard to tell apart, and of quantiles."""
    folder, source = tmp_path_factory.mktemp("runs"), np.random.default_rng(0)
    group = np.repeat(np.arange(40), [2] * 20 + [13] * 20)
    frame = pl.DataFrame({"x": source.normal(size=300), "w": 2.0 * (group % 7 > 0)})
    frame = frame.with_columns(y=pl.col("x") + pl.Series(source.normal(size=300)))
    number = source.integers(3, size=600)
    hard = {"x": number + source.normal(size=600), "z": source.normal(size=600)}
    source = np.random.default_rng(0)
    x = source.uniform(size=400)
    tables = {
        "numbers": frame,
        "groups": frame.with_columns(z=-pl.col("y"), g=pl.Series(group)),
        "classes": pl.DataFrame({**hard, "y": np.array(["a", "b b", "c"])[number]}),
        "quantiles": pl.DataFrame({"x": x, "y": 100 + x * (1 + source.exponential(size=400))}),
    }
    for name, table in tables.items():
        table.write_csv(folder / f"{name}.csv")
    split = "data/split=group", "data.split.group=g", "data.split.val=0.4", "data.weight=w"
    of_quantiles = (*csv(folder / "quantiles.csv"), *QUANTILES, "trainer.max_epochs=20")
    runs = {
        "numbers": [(*csv(folder / "numbers.csv"), *SMALL[2:], "data.weight=w", "ensemble=3")],
        "groups": [(*csv(folder / "groups.csv", "[y,z]"), *SMALL[2:], *split)],
        "few": [(*SMALL, "data.rows=20", f"seed={seed}") for seed in range(2)],
        "classes": [(*csv(folder / "classes.csv"), "baselines=[]", "trainer.max_epochs=10", "ensemble=3")],
        "together": [(*of_quantiles, "ensemble=2")],
        "alone": [(*of_quantiles, "ensemble=1", "baselines=[]")],
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jaxtyping.config, "jaxtyping_disable", True)
        for name, members in runs.items():
            train_into(folder / name, *members)
        yield folder


def test_a_run_predicts_with_intervals(folder: Path) -> None:
    run, frame = mlplab.load(folder / "numbers/0"), pl.read_csv(folder / "numbers.csv")
    found = run.predict(frame, interval=[0.8, 0.9])
    assert found.columns == ["prediction", "lower_0.8", "upper_0.8", "lower_0.9", "upper_0.9"]
    np.testing.assert_array_equal(found["prediction"], run.predict(frame))
    np.testing.assert_array_equal(found["lower_0.8"], run.predict(frame, "0.8")["lower"])
    bounds, y = found.select("lower_0.9", "upper_0.9").to_numpy()[:, None], frame["y"].to_numpy()
    assert 0.85 < np.mean((bounds[:, 0, 0] <= y) & (y <= bounds[:, 0, 1])) < 0.95
    test = run.test_predictions["row"].to_numpy() - 1
    by_row = interval_scores(bounds[test], y[test, None], 0.9)
    of_rows = mean_scores(by_row, frame[test]["w"].to_numpy(), 0.9)
    for of_test in (run.metrics, run.evaluate()):
        assert {name: of_test[f"test/{name}"] for name in of_rows} == pytest.approx(of_rows)


def test_each_group_counts_alike_and_rows_of_weight_0_do_not(folder: Path) -> None:
    run, source = TrainedRun.read(folder / "groups/0"), np.random.default_rng(0)
    table = DataCache().data(run.config).table
    predicted = table.y + source.normal(size=table.y.shape)
    found = residuals_of(table, np.arange(300), predicted)
    group, weight = table.split_columns["group"].astype(int), table.weight
    weights = np.where(weight > 0, 1 / np.bincount(group)[group], 0)
    used = weights > 0
    for of_target, column, y in zip(found, predicted.T, table.y.T, strict=True):
        wanted = Residuals.of(y[used], column[used], weights[used], len({*group[used]}))
        assert of_target.rows == wanted.rows == 34
        limits = (bounds_of([each], column[:, None], 0.8) for each in (of_target, wanted))
        np.testing.assert_allclose(*limits)
    assert run.residuals[0].rows < 34
    columns = mlplab.load(folder / "groups/0").predict({"x": [0.0]}, interval=0.5).columns
    assert columns == ["prediction_y", "prediction_z", "lower_y", "upper_y", "lower_z", "upper_z"]


def test_limits_of_several_runs_are_means(folder: Path) -> None:
    runs, frame = mlplab.load(folder / "few", runs="all"), {f"x{place}": [0.3] for place in range(1, 6)}
    mean = np.array([[runs.predict(frame)[0]]])
    alone = [bounds_of(TrainedRun.read(folder / f"few/{place}").residuals, mean, 0.3) for place in (0, 1)]
    found = runs.predict(frame, 0.3).select("lower", "upper").to_numpy()
    np.testing.assert_allclose(found, np.mean(alone, 0)[:, 0])


def test_a_run_predicts_sets(folder: Path) -> None:
    run, frame = mlplab.load(folder / "classes/0"), pl.read_csv(folder / "classes.csv")
    found = run.predict(frame, sets="0.8,0.95")
    narrow, wide = ([cell.split(" | ") for cell in found[name]] for name in ("set_0.8", "set_0.95"))
    assert all({*few} <= {*many} for few, many in zip(narrow, wide, strict=True))
    for row, few in zip(found.iter_rows(named=True), narrow, strict=True):
        assert row["prediction"] in few
        least = min(row[f"probability_{label}"] for label in few)
        assert all(row[f"probability_{label}"] < least for label in {"a", "b b", "c"} - {*few})
    test = frame[run.test_predictions["row"].to_numpy() - 1]
    sets = [cell.split(" | ") for cell in run.predict(test, sets=0.9)["set"]]
    inside = [label in labels for label, labels in zip(test["y"], sets, strict=True)]
    for of_test in (run.metrics, run.evaluate()):
        assert of_test["test/coverage_0.9"] == pytest.approx(np.mean(inside))
        assert of_test["test/set_size_0.9"] == pytest.approx(np.mean(list(map(len, sets))))


@pytest.mark.parametrize("name", ["together", "alone"])
def test_a_run_predicts_quantiles(folder: Path, name: str) -> None:
    run, frame = mlplab.load(folder / name / "0"), pl.read_csv(folder / "quantiles.csv")
    found, names = run.predict(frame, interval=0.8), [f"quantile_{level}" for level in LEVELS]
    assert found.columns == ["prediction", *names, "lower", "upper"]
    np.testing.assert_array_equal(found["prediction"], run.predict(frame))
    np.testing.assert_array_equal(found.select("prediction", "lower", "upper"), found[:, [2, 1, 3]])
    for level, quantile in zip(LEVELS, found[:, 1:4], strict=True):
        assert (frame["y"] <= quantile).mean() == pytest.approx(level, abs=0.09)
    written, of_test, metrics = run.test_predictions, run.evaluate(), run.metrics
    assert written.columns[2:] == ["prediction", *names]
    np.testing.assert_allclose(written["quantile_0.9"], found[written["row"].to_numpy() - 1]["quantile_0.9"])
    for model in ("", "boosting/", "linear/", "constant/")[: 4 if name == "together" else 1]:
        keys = [f"{model}test/{each}" for each in ("pinball", "mae", "coverage_0.8", "winkler_0.8")]
        assert [of_test[each] for each in keys] == pytest.approx([metrics[each] for each in keys])
    predicted, y = (written.select(each).to_numpy(writable=True) for each in (names, ["y"]))
    for score, expected in scores(predicted, y, None, Task(quantiles=LEVELS)).items():
        assert metrics[f"test/{score}"] == pytest.approx(expected)


def test_estimators_predict_intervals_and_sets(folder: Path) -> None:
    frame = pl.read_csv(folder / "numbers.csv")
    x, y = frame.select("x"), frame["y"].to_numpy()
    lower, upper = TableRegressor(max_epochs=3, ensemble=2).fit(x, np.stack([y, -y], 1)).predict_interval(x).T
    assert 0.85 < np.mean((lower <= [y, -y]) & ([y, -y] <= upper)) < 0.97
    frame = pl.read_csv(folder / "classes.csv")
    model = TableClassifier(max_epochs=5, ensemble=2).fit(frame.select("x", "z"), frame["y"])
    sets = model.predict_set(frame.select("x", "z"), 0.8)
    inside = [label in model.classes_[of] for label, of in zip(frame["y"], sets, strict=True)]
    assert 0.75 < np.mean(inside) < 0.9


@pytest.mark.parametrize(
    ("run", "words", "message"),
    [
        ("numbers", {"interval": 1.0}, f"interval=1.0: {LEVEL}"),
        ("numbers", {"interval": "80%"}, f"{LEVEL}; for 80 % of the rows, give 0.8"),
        ("numbers", {"interval": [0.5, float("nan")]}, f"interval=.0.5, nan.: {LEVEL}"),
        ("numbers", {"interval": []}, "give a level, such as 0.9"),
        ("few", {"interval": 0.9}, "held out 3 rows, too few for interval=0.9\n  at most interval=0.5, or"),
        ("groups", {"interval": 0.99}, "held out 1[0-9] groups, too few for interval=0.99"),
        ("classes", {"interval": 0.9}, "predicts classes, which have no intervals\n  use sets=0.9"),
        ("classes", {"sets": 0}, f"sets=0: {LEVEL}"),
        ("classes", {"sets": 0.999}, "too few for sets=0.999\n  at most sets=0.99[0-9], or train on"),
        ("alone", {"interval": 0.9}, "0.1, 0.5, 0.9, none for interval=0.9\n  use interval=0.8, or"),
        ("alone", {"interval": "0.9,0.8"}, r"train with loss.levels=\[0.05,0.1,0.5,0.9,0.95\]"),
    ],
)
def test_what_a_run_cannot_predict(folder: Path, run: str, words: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        mlplab.load(folder / run / "0").predict({}, **words)


def test_quantiles_without_a_partner(folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """There are no intervals between them, but all quantiles are there."""
    words, metrics = (*SMALL, "data.rows=80", "loss=quantile", "ensemble=1"), {}
    with caplog.at_level("INFO", "mlplab"):
        for levels in ("0.05,0.5,0.95", "0.5,0.75"):
            (metrics,) = train_into(tmp_path / levels, (*words, f"loss.levels=[{levels}]", "figures=all"))
            assert not [name for name in metrics if "coverage" in name]
    assert "19 rows have to be held out to correct the outermost quantiles, but there are 12" in caplog.text
    assert metrics["test/pinball"] > 0
    run, frame = mlplab.load(tmp_path / "0.5,0.75/0"), {f"x{place}": [0.2, 0.8] for place in range(1, 6)}
    found = run.predict_quantiles(frame)
    assert found.columns == ["prediction", "quantile_0.5", "quantile_0.75"]
    assert (found["quantile_0.5"] < found["quantile_0.75"]).all()
    with pytest.raises(UserError, match=r"none for interval=0.5\n  train with loss.levels=\[0.25,0.5,0.75\]"):
        run.predict(frame, 0.5)
    with pytest.raises(UserError, match="predicts no quantiles"):
        mlplab.load(folder / "few/0").predict_quantiles(frame)


@pytest.mark.parametrize("loss", ["mae", "quantile"])
def test_a_warm_start_needs_the_same_quantiles(folder: Path, tmp_path: Path, loss: str) -> None:
    words = (*csv(folder / "quantiles.csv"), f"init_from={folder / 'alone/0'}", f"loss={loss}")
    with pytest.raises(UserError, match=r"different columns, .* or quantiles: loss.levels"):
        train_into(tmp_path, words)


def test_the_best_of_runs_with_quantiles_are_chosen(folder: Path, tmp_path: Path) -> None:
    words = *csv(folder / "quantiles.csv"), "baselines=[]", "loss=quantile", "trainer.max_epochs=3"
    train_into(tmp_path, *[(*words, "monitor=val/r2", f"optimizer.lr={lr}") for lr in (1e-6, 0.01)])
    [best] = load_runs(tmp_path, 1).runs
    assert best.folder.name == "1"
    train_into(tmp_path / "other", (*words, "loss.levels=[0.5]"))
    (tmp_path / "other/0").rename(tmp_path / "2")
    with pytest.raises(UserError, match=r"has other columns, classes, quantiles or precision"):
        load_runs(tmp_path, 3)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["loss.levels=[0.1,0.9]"], "quantiles ascend, and one is the median, as in"),
        (["loss.levels=[0.5,0.1]"], "quantiles ascend"),
        (["loss.levels=[10,50,90]"], "for 10 % of the rows, give 0.1"),
        (["loss.levels=[]"], "give a level"),
        (["data=penguins"], "loss=quantile: is a loss of numbers"),
        (["data=csv", "data.path=groups.csv", "data.target=[x,y]"], "of one target .*found 2 targets"),
    ],
)
def test_wrong_quantiles(folder: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str) -> None:
    monkeypatch.chdir(folder)
    with pytest.raises(UserError, match=said):
        resolved(*([] if words[0].startswith("data=") else SMALL), "loss=quantile", *words)
