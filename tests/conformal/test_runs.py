"""Runs that predict intervals, sets and quantiles: their columns, their scores, and what they refuse."""

from collections.abc import Iterator
from pathlib import Path

import jaxtyping
import numpy as np
import polars as pl
import pytest
from support import SMALL, train_into

import mlplab
from mlplab.commands.select_ensemble import select_ensemble
from mlplab.conformal.intervals import bounds_of, interval_scores, mean_scores
from mlplab.conformal.residuals import Residuals, residuals_of
from mlplab.data.cache import DataCache
from mlplab.errors import UserError
from mlplab.runs.trained.trained_run import TrainedRun
from mlplab.sklearn import TableClassifier, TableRegressor
from mlplab.training.scoring.scores import Task, scores

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
    frame.write_csv(folder / "numbers.csv")
    frame.with_columns(z=-pl.col("y"), g=pl.Series(group)).write_csv(folder / "groups.csv")
    number = source.integers(3, size=600)
    hard = pl.DataFrame({"x": number + source.normal(size=600), "z": source.normal(size=600)})
    hard.with_columns(y=pl.Series(np.array(["a", "b b", "c"])[number])).write_csv(folder / "classes.csv")
    source = np.random.default_rng(0)
    x = source.uniform(size=400)
    noisy = pl.DataFrame({"x": x, "y": 100 + x * (1 + source.exponential(size=400))})
    noisy.write_csv(folder / "quantiles.csv")
    split = "data/split=group", "data.split.group=g", "data.split.val=0.4", "data.weight=w"
    small = SMALL[2:]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jaxtyping.config, "jaxtyping_disable", True)
        train_into(folder / "numbers", (*csv(folder / "numbers.csv"), *small, "data.weight=w", "ensemble=3"))
        train_into(folder / "groups", (*csv(folder / "groups.csv", "[y,z]"), *small, *split))
        train_into(folder / "few", (*SMALL, "data.rows=20"), (*SMALL, "data.rows=20", "seed=1"))
        of_classes = (*csv(folder / "classes.csv"), "baselines=[]", "trainer.max_epochs=10", "ensemble=3")
        train_into(folder / "classes", of_classes)
        of_quantiles = (*csv(folder / "quantiles.csv"), *QUANTILES, "trainer.max_epochs=20")
        train_into(folder / "together", (*of_quantiles, "ensemble=2"))
        train_into(folder / "alone", (*of_quantiles, "ensemble=1", "baselines=[]"))
        yield folder


def test_a_run_predicts_with_intervals(folder: Path) -> None:
    run, frame = mlplab.load(folder / "numbers/0"), pl.read_csv(folder / "numbers.csv")
    found = run.predict(frame, interval=[0.8, 0.9])
    assert found.columns == ["prediction", "lower_0.8", "upper_0.8", "lower_0.9", "upper_0.9"]
    np.testing.assert_array_equal(found["prediction"], run.predict(frame))
    np.testing.assert_array_equal(found["lower_0.8"], run.predict(frame, "0.8")["lower"])
    assert (found["lower_0.9"] <= found["lower_0.8"]).all()
    assert (found["upper_0.8"] < found["upper_0.9"]).all()
    inside = frame["y"].is_between(found["lower_0.9"], found["upper_0.9"])
    assert 0.85 < inside.cast(pl.Float64).mean() < 0.95  # type: ignore[operator]
    test = run.test_predictions["row"].to_numpy() - 1
    bounds = found[test].select("lower_0.9", "upper_0.9").to_numpy()[:, None]
    by_row = interval_scores(bounds, frame[test]["y"].to_numpy()[:, None], 0.9)
    of_rows = mean_scores(by_row, frame[test]["w"].to_numpy(), 0.9)
    for of_test in (run.metrics, run.evaluate()):
        assert {name: of_test[f"test/{name}"] for name in of_rows} == pytest.approx(of_rows)


def test_each_group_counts_alike_and_rows_of_weight_0_do_not(folder: Path) -> None:
    run, source = TrainedRun.read(folder / "groups/0"), np.random.default_rng(0)
    table = DataCache().data(run.config).table
    predicted = table.y + source.normal(size=table.y.shape)
    found = residuals_of(table, np.arange(300), predicted)
    group, weight = table.split_columns["group"].astype(int), table.weight
    assert weight is not None
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
    assert found.columns[-2:] == ["set_0.8", "set_0.95"]
    narrow, wide = ([cell.split(" | ") for cell in found[name]] for name in ("set_0.8", "set_0.95"))
    assert all({*few} <= {*many} for few, many in zip(narrow, wide, strict=True))
    for row, few in zip(found.iter_rows(named=True), narrow, strict=True):
        assert row["prediction"] in few
        least = min(row[f"probability_{label}"] for label in few)
        assert all(row[f"probability_{label}"] < least for label in {"a", "b b", "c"} - {*few})
    covered = np.mean([label in many for label, many in zip(frame["y"], wide, strict=True)])
    assert 0.93 < covered < 0.99
    test = frame[run.test_predictions["row"].to_numpy() - 1]
    sets = [cell.split(" | ") for cell in run.predict(test, sets=0.9)["set"]]
    inside = [label in labels for label, labels in zip(test["y"], sets, strict=True)]
    for of_test in (run.metrics, run.evaluate()):
        assert of_test["test/coverage_0.9"] == pytest.approx(np.mean(inside))
        assert of_test["test/set_size_0.9"] == pytest.approx(np.mean(list(map(len, sets))))


@pytest.mark.parametrize("name", ["together", "alone"])
def test_a_run_predicts_quantiles(folder: Path, name: str) -> None:
    run, frame = mlplab.load(folder / name / "0"), pl.read_csv(folder / "quantiles.csv")
    found = run.predict(frame, interval=0.8)
    names = ["prediction", "quantile_0.1", "quantile_0.5", "quantile_0.9", "lower", "upper"]
    assert found.columns == names
    np.testing.assert_array_equal(found["prediction"], found["quantile_0.5"])
    np.testing.assert_array_equal(found["prediction"], run.predict(frame))
    np.testing.assert_array_equal(found.select("lower", "upper"), found[:, [1, 3]])
    for level, quantile in zip(LEVELS, found[:, 1:4], strict=True):
        assert (frame["y"] <= quantile).mean() == pytest.approx(level, abs=0.09)
    widths = found["upper"] - found["lower"]
    wide, narrow = (widths.filter(of).mean() for of in (frame["x"] > 0.5, frame["x"] <= 0.5))
    assert wide > 1.5 * narrow  # type: ignore[operator]
    written = run.test_predictions
    assert written.columns[2:] == names[:4]
    np.testing.assert_allclose(written["quantile_0.9"], found[written["row"].to_numpy() - 1]["quantile_0.9"])
    predicted, y = (written.select(each).to_numpy(writable=True) for each in ("^quantile_.*$", "y"))
    of_test, metrics = run.evaluate(), run.metrics
    baselines = ("boosting/", "linear/", "constant/") if name == "together" else ()
    for model in ("", *baselines):
        keys = [f"{model}test/{each}" for each in ("pinball", "mae", "coverage_0.8", "winkler_0.8")]
        assert [of_test[each] for each in keys] == pytest.approx([metrics[each] for each in keys])
    pinball = scores(predicted, y, None, Task(quantiles=LEVELS))["pinball"]
    assert metrics["test/pinball"] == pytest.approx(pinball)
    assert metrics["test/mae"] == pytest.approx(np.abs(predicted[:, [1]] - y).mean())
    if baselines:
        assert pinball < 0.8 * metrics["constant/test/pinball"]


def test_estimators_predict_intervals_and_sets(folder: Path) -> None:
    frame = pl.read_csv(folder / "numbers.csv")
    x, y = frame.select("x"), frame["y"].to_numpy()
    lower, upper = TableRegressor(max_epochs=3, ensemble=2).fit(x, y).predict_interval(x).T
    assert 0.85 < np.mean((lower <= y) & (y <= upper)) < 0.97
    both = TableRegressor(max_epochs=1, ensemble=1).fit(x, np.column_stack([y, -y]))
    assert both.predict_interval(x[:7], 0.5).shape == (7, 2, 2)
    frame = pl.read_csv(folder / "classes.csv")
    model = TableClassifier(max_epochs=5, ensemble=2).fit(frame.select("x", "z"), frame["y"])
    sets = model.predict_set(frame.select("x", "z"), 0.8)
    assert sets.shape == (600, 3)
    inside = [label in model.classes_[of] for label, of in zip(frame["y"], sets, strict=True)]
    assert 0.75 < np.mean(inside) < 0.9
    frame = pl.read_csv(folder / "quantiles.csv")
    quantile = TableRegressor(max_epochs=10, ensemble=2, overrides=("loss=quantile",))
    lower, upper = quantile.fit(frame.select("x"), frame["y"]).predict_interval(frame.select("x")).T
    assert 0.8 < frame["y"].is_between(pl.Series(lower), pl.Series(upper)).mean() < 0.97  # type: ignore[operator]
    median = quantile.predict(frame.select("x"))
    assert ((lower < median) & (median < upper)).all()


@pytest.mark.parametrize(
    ("run", "words", "message"),
    [
        ("numbers", {"interval": 0}, "interval=0: a level is above 0 and below 1, such as 0.9"),
        ("numbers", {"interval": 1.0}, "interval=1.0: a level is above 0 and below 1, such as 0.9"),
        ("numbers", {"interval": 90}, "such as 0.9; for 90 % of the rows, give 0.9"),
        ("numbers", {"interval": "80%"}, "such as 0.9; for 80 % of the rows, give 0.8"),
        ("numbers", {"interval": [0.5, float("nan")]}, "interval=.0.5, nan.: a level is above 0"),
        ("numbers", {"interval": []}, "give a level, such as 0.9"),
        (
            "few",
            {"interval": 0.9},
            "few/0: held out 3 rows, too few for interval=0.9\n  at most interval=0.5, or",
        ),
        ("groups", {"interval": 0.99}, "held out 1[0-9] groups, too few for interval=0.99"),
        ("classes", {"interval": 0.9}, "predicts classes, which have no intervals\n  use sets=0.9"),
        ("classes", {"sets": 0}, "sets=0: a level is above 0 and below 1, such as 0.9"),
        (
            "classes",
            {"sets": 0.999},
            "held out [0-9]+ rows, too few for sets=0.999\n  at most sets=0.99[0-9], or train on",
        ),
        (
            "alone",
            {"interval": 0.9},
            "has the quantiles 0.1, 0.5, 0.9, none for interval=0.9\n"
            r"  use interval=0.8, or train with loss.levels=\[0.05,0.5,0.95\]",
        ),
        ("alone", {"interval": "0.9,0.8"}, r"train with loss.levels=\[0.05,0.1,0.5,0.9,0.95\]"),
    ],
)
def test_what_a_run_cannot_predict(folder: Path, run: str, words: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        mlplab.load(folder / run / "0").predict({}, **words)  # type: ignore[arg-type]


def test_quantiles_without_a_partner(folder: Path, tmp_path: Path) -> None:
    """There are no intervals between them, but all quantiles are there."""
    data = (*csv(folder / "quantiles.csv"), "baselines=[]", "trainer.max_epochs=2")
    (metrics,) = train_into(
        tmp_path, (*data, "loss=quantile", "loss.levels=[0.5,0.75]", "ensemble=2", "figures=all")
    )
    run = mlplab.load(tmp_path / "0")
    found = run.predict_quantiles({"x": [0.2, 0.8]})
    assert found.columns == ["prediction", "quantile_0.5", "quantile_0.75"]
    assert (found["quantile_0.5"] < found["quantile_0.75"]).all()
    assert not [name for name in metrics if "coverage" in name]
    assert metrics["test/pinball"] > 0
    with pytest.raises(UserError, match=r"none for interval=0.5\n  train with loss.levels=\[0.25,0.5,0.75\]"):
        run.predict({"x": [0.5]}, 0.5)
    with pytest.raises(UserError, match="predicts no quantiles"):
        mlplab.load(folder / "few/0").predict_quantiles({"x": [0.5]})


def test_too_few_rows_for_a_quantile_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    small = [word.replace("rows=60", "rows=80") for word in SMALL]
    with caplog.at_level("INFO", "mlplab"):
        (metrics,) = train_into(tmp_path, (*small, "loss=quantile", "ensemble=1"))
    assert "19 rows have to be held out to correct the outermost quantiles, but there are 12" in caplog.text
    assert not [name for name in metrics if "coverage" in name]


def test_a_warm_start_needs_the_same_quantiles(folder: Path, tmp_path: Path) -> None:
    start = (*csv(folder / "quantiles.csv"), f"init_from={folder / 'alone/0'}", "trainer.max_epochs=1")
    for loss in (["loss=mae"], ["loss=quantile"]):
        with pytest.raises(UserError, match=r"different columns, .* or quantiles: loss.levels"):
            train_into(tmp_path, (*start, *loss))


def test_the_best_of_runs_with_quantiles_are_chosen(folder: Path, tmp_path: Path) -> None:
    words = (*csv(folder / "quantiles.csv"), "baselines=[]", "loss=quantile", "monitor=val/r2")
    words = (*words, "trainer.max_epochs=3")
    train_into(tmp_path, *[(*words, f"optimizer.lr={lr}") for lr in (1e-6, 0.01)])
    assert select_ensemble(tmp_path, 1).weights == {"1": 1.0}
    train_into(tmp_path / "other", (*words, "loss.levels=[0.5]"))
    (tmp_path / "other/0").rename(tmp_path / "2")
    with pytest.raises(UserError, match="the runs predict different quantiles"):
        select_ensemble(tmp_path, 1)


def test_what_matters_is_what_lowers_the_pinball_loss(folder: Path) -> None:
    assert mlplab.load(folder / "alone/0").importance()["mean"].to_list()[0] > 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["loss.levels=[0.1,0.9]"], "quantiles ascend, and one is the median, as in"),
        (["loss.levels=[0.5,0.1]"], "quantiles ascend"),
        (["loss.levels=[0.5,1]"], "loss.levels: a level is above 0 and below 1"),
        (["loss.levels=[10,50,90]"], "for 10 % of the rows, give 0.1"),
        (["loss.levels=[0.5,0.5000000001]"], "the level 0.5 is given twice"),
        (["loss.levels=[]"], "give a level"),
        (["data=penguins"], "loss=quantile: is a loss of numbers"),
        (["data=csv", "data.path=groups.csv", "data.target=[x,y]"], "of one target .*found 2 targets"),
    ],
)
def test_quantiles_that_make_no_sense(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
) -> None:
    monkeypatch.chdir(folder)
    with pytest.raises(UserError, match=message):
        train_into(tmp_path, (*([] if words[0].startswith("data=") else SMALL), "loss=quantile", *words))
