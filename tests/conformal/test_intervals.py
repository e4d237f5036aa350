from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import mean_pinball_loss
from support import SMALL, train_into

import mlplab
from mlplab.conformal.intervals import bounds_of, highest_level, interval_scores, mean_scores
from mlplab.conformal.residuals import MOST_ERRORS, Residuals, residuals_of
from mlplab.data.cache import DataCache
from mlplab.errors import UserError
from mlplab.runs.trained.trained_run import TrainedRun
from mlplab.sklearn import TableRegressor


def residuals(y: np.ndarray, predicted: np.ndarray, weight: np.ndarray | None = None) -> Residuals:
    weight = np.ones(len(y)) if weight is None else weight
    return Residuals.of(y, predicted, weight, len(y))


def limits(of_target: Residuals, predicted: np.ndarray, level: float) -> np.ndarray:
    """The limits of one target: `[row, limit]`."""
    return bounds_of([of_target], predicted[:, None], level)[:, 0]


@pytest.mark.parametrize(("rows", "level"), [(19, 0.9), (39, 0.9), (200, 0.8), (25, 0.5)])
def test_an_interval_contains_new_targets_with_its_probability(rows: int, level: float) -> None:
    """Errors grow with the prediction, and are skewed. Of few rows, limits are rounded outwards."""
    source, times = np.random.default_rng(0), 3000
    predicted = source.uniform(0, 10, (times, rows + 1))
    y = predicted + (0.1 + predicted) * source.exponential(size=predicted.shape)
    inside = []
    for known, target in zip(predicted, y, strict=True):
        lower, upper = limits(residuals(target[:-1], known[:-1]), known[-1:], level)[0]
        inside.append(lower <= target[-1] <= upper)
    rounded = 2 / (rows + 1)
    assert level - 0.02 < np.mean(inside) < level + rounded + 0.02


def test_the_width_follows_the_size_of_errors_near_a_prediction() -> None:
    source = np.random.default_rng(0)
    predicted = source.uniform(0, 10, 2000)
    of_noise = residuals(predicted + predicted * source.normal(size=2000), predicted)
    (low, high), (lower, upper) = limits(of_noise, np.array([2.0, 8.0]), 0.9)
    assert upper - lower == pytest.approx(4 * (high - low), rel=0.2)
    assert upper - lower == pytest.approx(2 * 1.645 * 8, rel=0.1)


@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5), st.integers(1, 3)), min_size=8, max_size=40))
def test_a_row_of_weight_2_is_like_two_rows(rows: list[tuple[float, float, int]]) -> None:
    y, predicted, weight = np.array(rows).T
    times, count = weight.astype(int), len(rows)
    one = Residuals.of(y, predicted, weight, count)
    other = Residuals.of(y.repeat(times), predicted.repeat(times), np.ones(times.sum()), count)
    at = np.linspace(-6, 6, 5)
    if count >= 30:  # several bins, whose limits may divide equal rows
        return
    np.testing.assert_allclose(limits(one, at, 0.7), limits(other, at, 0.7), atol=1e-9)


def test_many_rows_are_kept_as_quantiles() -> None:
    source = np.random.default_rng(0)
    errors, predicted = source.normal(size=50_000), source.normal(size=50_000)
    found = residuals(predicted + errors, predicted)
    assert 0.99 * MOST_ERRORS <= len(found.errors) <= MOST_ERRORS
    (found_limits,) = limits(found, np.zeros(1), 0.9)
    np.testing.assert_allclose(found_limits, [-1.645, 1.645], rtol=0.03)
    (found_limits,) = limits(found, np.zeros(1), 0.999)
    np.testing.assert_allclose(found_limits, [-3.29, 3.29], rtol=0.08)
    again = Residuals.from_arrays(found.arrays())
    np.testing.assert_array_equal(limits(again, predicted, 0.8), limits(found, predicted, 0.8))


def test_of_few_rows_only_low_levels_have_finite_limits() -> None:
    y = np.arange(10.0)
    few = residuals(y, 0 * y)
    assert highest_level([few]) == pytest.approx(1 - 2 / 11)
    np.testing.assert_allclose(limits(few, np.zeros(1), highest_level([few])), [[0, 9]], atol=1e-9)
    assert np.isnan(highest_level([]))
    exact = residuals(y, y)
    np.testing.assert_allclose(limits(exact, y, 0.8), np.column_stack([y, y]), atol=1e-9)


@pytest.mark.parametrize(("rows", "level"), [(19, 0.9), (199, 0.99), (9, 0.8)])
def test_the_fewest_rows_of_a_level(rows: int, level: float) -> None:
    y = np.arange(float(rows))
    assert highest_level([residuals(y, 0 * y)]) >= level > highest_level([residuals(y[1:], 0 * y[1:])])


@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(1, 7)), min_size=10, max_size=40))
def test_equal_targets_are_inside_whatever_the_rounding(rows: list[tuple[int, int]]) -> None:
    """Each row that was held out is a new row: at least so many targets are inside as the level says."""
    y, predicted = np.array(rows, float).T / 7
    lower, upper = limits(residuals(y, predicted), predicted, 0.8).T
    assert np.mean((lower <= y) & (y <= upper)) >= 0.8


def test_the_winkler_score_is_that_of_two_pinball_losses() -> None:
    source = np.random.default_rng(0)
    y, weight = source.normal(size=(50, 2)), source.uniform(size=50)
    bounds = np.sort(source.normal(size=(50, 2, 2)), 2)
    found = mean_scores(interval_scores(bounds, y, 0.8), weight, 0.8)
    losses = [
        mean_pinball_loss(y, bounds[..., limit], sample_weight=weight, alpha=alpha)
        for limit, alpha in ((0, 0.1), (1, 0.9))
    ]
    assert found["winkler_0.8"] == pytest.approx(2 / 0.2 * sum(losses))
    inside = ((bounds[..., 0] <= y) & (y <= bounds[..., 1])).mean(1)
    assert found["coverage_0.8"] == pytest.approx(np.average(inside, weights=weight))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ensemble, a run with two targets and groups, two runs of few rows, and one of classes."""
    folder = tmp_path_factory.mktemp("runs")
    source, group = np.random.default_rng(0), np.repeat(np.arange(40), [2] * 20 + [13] * 20)
    frame = pl.DataFrame({"x": source.normal(size=300), "w": 2.0 * (group % 7 > 0)})
    frame = frame.with_columns(y=pl.col("x") + pl.Series(source.normal(size=300)))
    frame.write_csv(folder / "one.csv")
    frame.with_columns(z=-pl.col("y"), g=pl.Series(group)).write_csv(folder / "two.csv")
    data = ("data=csv", "data.weight=w", *SMALL[2:])
    train_into(folder / "one", (*data, f"data.path={folder / 'one.csv'}", "data.target=y", "ensemble=3"))
    split = "data/split=group", "data.split.group=g", "data.split.val=0.4"
    train_into(folder / "two", (*data, f"data.path={folder / 'two.csv'}", "data.target=[y,z]", *split))
    train_into(folder / "few", (*SMALL, "data.rows=20"), (*SMALL, "data.rows=20", "seed=1"))
    train_into(folder / "classes", ("data=penguins", "trainer.max_epochs=1", "baselines=[]"))
    return folder


def test_a_run_predicts_with_intervals(folder: Path) -> None:
    run, frame = mlplab.load(folder / "one/0"), pl.read_csv(folder / "one.csv")
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
    scores = mean_scores(by_row, frame[test]["w"].to_numpy(), 0.9)
    for of_test in (run.metrics, run.evaluate()):
        assert {name: of_test[f"test/{name}"] for name in scores} == pytest.approx(scores)


def test_each_group_counts_alike_and_rows_of_weight_0_do_not(folder: Path) -> None:
    run, source = TrainedRun.read(folder / "two/0"), np.random.default_rng(0)
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
        np.testing.assert_allclose(limits(of_target, column, 0.8), limits(wanted, column, 0.8))
    assert run.residuals[0].rows < 34
    columns = mlplab.load(folder / "two/0").predict({"x": [0.0]}, interval=0.5).columns
    assert columns == ["prediction_y", "prediction_z", "lower_y", "upper_y", "lower_z", "upper_z"]


def test_limits_of_several_runs_are_means(folder: Path) -> None:
    runs, frame = mlplab.load(folder / "few", runs="all"), {f"x{place}": [0.3] for place in range(1, 6)}
    mean = np.array([[runs.predict(frame)[0]]])
    alone = [bounds_of(TrainedRun.read(folder / f"few/{place}").residuals, mean, 0.3) for place in (0, 1)]
    found = runs.predict(frame, 0.3).select("lower", "upper").to_numpy()
    np.testing.assert_allclose(found, np.mean(alone, 0)[:, 0])


def test_an_estimator_predicts_intervals(folder: Path) -> None:
    frame = pl.read_csv(folder / "one.csv")
    x, y = frame.select("x"), frame["y"].to_numpy()
    lower, upper = TableRegressor(max_epochs=3, ensemble=2).fit(x, y).predict_interval(x).T
    assert 0.85 < np.mean((lower <= y) & (y <= upper)) < 0.97
    both = TableRegressor(max_epochs=1).fit(x, np.column_stack([y, -y])).predict_interval(x[:7], 0.5)
    assert both.shape == (7, 2, 2)


@pytest.mark.parametrize(
    ("run", "interval", "message"),
    [
        ("one/0", 0, "interval=0: a level is above 0 and below 1, such as 0.9"),
        ("one/0", 1.0, "interval=1.0: a level is above 0 and below 1, such as 0.9"),
        ("one/0", 90, "such as 0.9; for 90 % of the rows, give 0.9"),
        ("one/0", "80%", "such as 0.9; for 80 % of the rows, give 0.8"),
        ("one/0", [0.5, float("nan")], "interval=.0.5, nan.: a level is above 0"),
        ("one/0", [], "give a level, such as 0.9"),
        ("few/0", 0.9, "few/0: held out 3 rows, too few for interval=0.9\n  at most interval=0.5, or"),
        ("two/0", 0.99, "held out 1[0-9] groups, too few for interval=0.99"),
        ("classes/0", 0.9, "predicts classes, which have no intervals\n  use sets=0.9"),
    ],
)
def test_what_has_no_interval(folder: Path, run: str, interval: float | str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        mlplab.load(folder / run).predict({}, interval)
