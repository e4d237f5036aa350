"""Quantiles of a target: their correction, their scores, and a run that predicts them."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import mean_pinball_loss
from support import SMALL, train_into

import mlplab
from mlplab.commands.select_ensemble import select_ensemble
from mlplab.conformal.quantiles import corrected, interval_levels
from mlplab.conformal.residuals import Residuals
from mlplab.errors import UserError
from mlplab.sklearn import TableRegressor
from mlplab.training.scoring.scores import Task, scores

LEVELS = [0.1, 0.5, 0.9]


def test_the_right_share_of_new_targets_is_below_each_quantile() -> None:
    """Whatever the network predicts: here, quantiles too close to each other, and in a wrong order."""
    source, rows, times = np.random.default_rng(0), 12, 8000
    below = []
    for _ in range(times):
        y = source.exponential(size=rows + 1)
        predicted = np.array([0.9, 0.7, 0.8]) + 0.1 * source.normal(size=(rows + 1, 3))
        held_out = predicted[:-1].T
        residuals = [Residuals.of(y[:-1], column, np.ones(rows), rows) for column in held_out]
        found = corrected(residuals, predicted[-1:], LEVELS)[0]
        below.append(y[-1] <= found)
    lowest, _, highest = np.mean(below, 0)
    assert 0.1 - 1 / (rows + 1) - 0.01 < lowest < 0.1 + 0.01
    assert 0.9 - 0.01 < highest < 0.9 + 1 / (rows + 1) + 0.01
    found = corrected(residuals, np.array([[9.0, 0, 5]]), LEVELS)[0]
    assert (np.diff(found) > 0).all()


def test_the_pinball_loss_is_scikit_learns() -> None:
    source = np.random.default_rng(0)
    y, predicted, weight = source.normal(size=(40, 1)), source.normal(size=(40, 3)), source.uniform(size=40)
    expected = [
        mean_pinball_loss(y, predicted[:, k], sample_weight=weight, alpha=level)
        for k, level in enumerate(LEVELS)
    ]
    assert scores(predicted, y, weight, Task(quantiles=LEVELS))["pinball"] == pytest.approx(np.mean(expected))


@pytest.mark.parametrize(
    ("levels", "expected"),
    [(LEVELS, [0.8]), ([0.05, 0.25, 0.5, 0.75, 0.95], [0.9, 0.5]), ([0.3, 0.5, 0.9], []), ([0.5], [])],
)
def test_intervals_lie_between_quantiles_of_equal_distance(
    levels: list[float], expected: list[float]
) -> None:
    assert interval_levels(levels) == expected


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ensemble that predicts quantiles, and a network that does."""
    folder = tmp_path_factory.mktemp("runs")
    source = np.random.default_rng(0)
    x = source.uniform(size=400)
    noisy = pl.DataFrame({"x": x, "y": 100 + x * (1 + source.exponential(size=400))})
    noisy.write_csv(folder / "table.csv")
    noisy.with_columns(z=-x).write_csv(folder / "two.csv")
    table = ("data=csv", f"data.path={folder / 'table.csv'}", "data.target=y", "figures=none", "logger=[]")
    words = (*table, "loss=quantile", "loss.levels=[0.1,0.5,0.9]", "trainer.max_epochs=30")
    train_into(folder / "together", (*words, "ensemble=2"))
    train_into(folder / "alone", (*words, "ensemble=1"))
    return folder


@pytest.mark.parametrize("name", ["together", "alone"])
def test_a_run_predicts_quantiles(folder: Path, name: str) -> None:
    run, frame = mlplab.load(folder / name / "0"), pl.read_csv(folder / "table.csv")
    found = run.predict(frame, interval=0.8)
    names = ["prediction", "quantile_0.1", "quantile_0.5", "quantile_0.9", "lower", "upper"]
    assert found.columns == names
    np.testing.assert_array_equal(found["prediction"], found["quantile_0.5"])
    np.testing.assert_array_equal(found["prediction"], run.predict(frame))
    np.testing.assert_array_equal(found.select("lower", "upper"), found[:, [1, 3]])
    for level, quantile in zip(LEVELS, found[:, 1:4], strict=True):
        assert (frame["y"] <= quantile).mean() == pytest.approx(level, abs=0.09)
    wide, narrow = (found.filter(of)["upper"] - found.filter(of)["lower"] for of in _halves(frame))
    assert wide.mean() > 1.5 * narrow.mean()  # type: ignore[operator]
    written = run.test_predictions
    assert written.columns[2:] == names[:4]
    np.testing.assert_allclose(written["quantile_0.9"], found[written["row"].to_numpy() - 1]["quantile_0.9"])


def _halves(frame: pl.DataFrame) -> tuple[pl.Series, pl.Series]:
    return frame["x"] > 0.5, frame["x"] <= 0.5


@pytest.mark.parametrize("name", ["together", "alone"])
def test_quantiles_are_scored_beside_those_of_baselines(folder: Path, name: str) -> None:
    run = mlplab.load(folder / name / "0")
    rows = run.test_predictions
    predicted, y = (rows.select(each).to_numpy(writable=True) for each in ("^quantile_.*$", "y"))
    of_test, metrics = run.evaluate(), run.metrics
    for model in ("", "boosting/", "linear/", "constant/"):
        names = [f"{model}test/{each}" for each in ("pinball", "mae", "coverage_0.8", "winkler_0.8")]
        assert [of_test[each] for each in names] == pytest.approx([metrics[each] for each in names])
    assert metrics["test/pinball"] == pytest.approx(
        scores(predicted, y, None, Task(quantiles=LEVELS))["pinball"]
    )
    assert metrics["test/mae"] == pytest.approx(np.abs(predicted[:, [1]] - y).mean())
    assert metrics["test/pinball"] < 0.8 * metrics["constant/test/pinball"]


def test_an_estimator_predicts_intervals_between_quantiles(folder: Path) -> None:
    frame = pl.read_csv(folder / "table.csv")
    model = TableRegressor(max_epochs=20, overrides=("loss=quantile",)).fit(frame.select("x"), frame["y"])
    lower, upper = model.predict_interval(frame.select("x")).T
    assert 0.8 < frame["y"].is_between(pl.Series(lower), pl.Series(upper)).mean() < 0.97  # type: ignore[operator]
    assert ((lower < (median := model.predict(frame.select("x")))) & (median < upper)).all()


def test_quantiles_without_a_partner(folder: Path, tmp_path: Path) -> None:
    """There are no intervals between them, but all quantiles are there."""
    data = ("data=csv", f"data.path={folder / 'table.csv'}", "data.target=y", "logger=[]", "baselines=[]")
    words = ("loss=quantile", "loss.levels=[0.5,0.75]", "trainer.max_epochs=2", "ensemble=2", "figures=all")
    (metrics,) = train_into(tmp_path, (*data, *words))
    run = mlplab.load(tmp_path / "0")
    found = run.predict_quantiles({"x": [0.2, 0.8]})
    assert found.columns == ["prediction", "quantile_0.5", "quantile_0.75"]
    assert (found["quantile_0.5"] < found["quantile_0.75"]).all()
    assert not [name for name in metrics if "coverage" in name]
    assert metrics["test/pinball"] > 0
    with pytest.raises(UserError, match=r"none for interval=0.5\n  train with loss.levels=\[0.25,0.5,0.75\]"):
        run.predict({"x": [0.5]}, 0.5)
    train_into(tmp_path / "mse", (*data, "trainer.max_epochs=1"))
    other = mlplab.load(tmp_path / "mse/0")
    with pytest.raises(UserError, match="predicts no quantiles"):
        other.predict_quantiles({"x": [0.5]})


def test_too_few_rows_for_a_quantile_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    small = [word.replace("rows=60", "rows=80") for word in SMALL]
    with caplog.at_level("INFO", "mlplab"):
        (metrics,) = train_into(tmp_path, (*small, "loss=quantile", "ensemble=1"))
    assert "19 rows have to be held out to correct the outermost quantiles, but there are 12" in caplog.text
    assert not [name for name in metrics if "coverage" in name]


def test_other_intervals_are_refused(folder: Path) -> None:
    message = "has the quantiles 0.1, 0.5, 0.9, none for interval=0.9\n"
    remedy = r"  use interval=0.8, or train with loss.levels=\[0.05,0.5,0.95\]"
    with pytest.raises(UserError, match=message + remedy):
        mlplab.load(folder / "alone/0").predict({"x": [0.5]}, 0.9)
    with pytest.raises(UserError, match=r"train with loss.levels=\[0.05,0.1,0.5,0.9,0.95\]"):
        mlplab.load(folder / "alone/0").predict({"x": [0.5]}, "0.9,0.8")


def test_a_warm_start_needs_the_same_quantiles(folder: Path, tmp_path: Path) -> None:
    data = ("data=csv", f"data.path={folder / 'table.csv'}", "data.target=y")
    start = (*data, f"init_from={folder / 'alone/0'}", "trainer.max_epochs=1")
    for loss in (["loss=mae"], ["loss=quantile"]):
        with pytest.raises(UserError, match=r"different columns, .* or quantiles: loss.levels"):
            train_into(tmp_path, (*start, *loss))


def test_the_best_of_runs_with_quantiles_are_chosen(folder: Path, tmp_path: Path) -> None:
    data = ("data=csv", f"data.path={folder / 'table.csv'}", "data.target=y", "baselines=[]", "logger=[]")
    words = (*data, "loss=quantile", "trainer.max_epochs=3", "monitor=val/r2")
    train_into(tmp_path, *[(*words, f"optimizer.lr={lr}") for lr in (1e-6, 0.01)])
    choice = select_ensemble(tmp_path, 1)
    assert choice.weights == {"1": 1.0}
    train_into(tmp_path / "other", (*words, "loss.levels=[0.5]"))
    (tmp_path / "other/0").rename(tmp_path / "2")
    with pytest.raises(UserError, match="the runs predict different quantiles"):
        select_ensemble(tmp_path, 1)


def test_what_matters_is_what_lowers_the_pinball_loss(folder: Path) -> None:
    found = mlplab.load(folder / "alone/0").importance()
    assert found["mean"].to_list()[0] > 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["loss.levels=[0.1,0.9]"], "quantiles ascend, and one is the median, as in"),
        (["loss.levels=[0.5,0.1]"], "quantiles ascend"),
        (["loss.levels=[0.5,1]"], "loss.levels: a level is above 0 and below 1"),
        (["loss.levels=[10,50,90]"], "for 10 % of the rows, give 0.1"),
        (["loss.levels=[0.5,0.5000000001]"], "the level 0.5 is given twice"),
        (["loss.levels=[]"], "give a level"),
    ],
)
def test_quantiles_that_make_no_sense(tmp_path: Path, words: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        train_into(tmp_path, (*SMALL, "loss=quantile", *words))


def test_quantiles_are_of_one_number(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="loss=quantile: is a loss of numbers"):
        train_into(tmp_path, ("data=penguins", "loss=quantile"))
    data = ("data=csv", f"data.path={folder / 'two.csv'}", "data.target=[x,y]")
    with pytest.raises(UserError, match=r"loss=quantile: is a loss of one target .*found 2 targets"):
        train_into(tmp_path, (*data, "loss=quantile"))
