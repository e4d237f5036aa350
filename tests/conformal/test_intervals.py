"""The laws of residuals, and of the intervals, sets and quantiles that they make."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import mean_pinball_loss

from mlplab.conformal import intervals
from mlplab.conformal.intervals import Uncertainty, bounds_of, corrected, highest_level, mean_scores
from mlplab.conformal.residual_quantiles import MOST_ERRORS, Residuals
from mlplab.data.schema import Schema
from mlplab.training.scoring.scores import Task, scores

LEVELS = [0.1, 0.5, 0.9]
CLASSES = tuple("abcde")


def residuals(y: np.ndarray, predicted: np.ndarray | float = 0.0) -> Residuals:
    return Residuals.of(y, np.broadcast_to(predicted, y.shape), np.ones(len(y)), len(y))


def limits(of_target: Residuals, predicted: np.ndarray, level: float) -> np.ndarray:
    return bounds_of([of_target], predicted[:, None], level)[:, 0]


def sets(probabilities: np.ndarray, y: np.ndarray, new: np.ndarray, level: float) -> np.ndarray:
    of_classes = residuals(1 - probabilities[np.arange(len(y)), y])
    return Uncertainty(Schema((), ("y",), CLASSES), [[of_classes]]).sets(new, level)


def drawn_classes(source: np.random.Generator, p: np.ndarray) -> np.ndarray:
    return (p.cumsum(-1) < source.uniform(size=(*p.shape[:-1], 1))).sum(-1)


@pytest.mark.usefixtures("full_speed")
@pytest.mark.parametrize(("rows", "level"), [(19, 0.9), (100, 0.8), (25, 0.5)])
def test_an_interval_contains_new_targets_with_its_probability(rows: int, level: float) -> None:
    """Errors grow with the prediction, and are skewed. Of few rows, limits are rounded outwards."""
    source, times = np.random.default_rng(0), 1500
    predicted = source.uniform(0, 10, (times, rows + 1))
    y = predicted + (0.1 + predicted) * source.exponential(size=predicted.shape)
    inside = []
    for known, target in zip(predicted, y, strict=True):
        lower, upper = limits(residuals(target[:-1], known[:-1]), known[-1:], level)[0]
        inside.append(lower <= target[-1] <= upper)
    assert level - 0.02 < np.mean(inside) < level + 2 / (rows + 1) + 0.02


@pytest.mark.usefixtures("full_speed")
@pytest.mark.parametrize(("rows", "level"), [(9, 0.8), (100, 0.6)])
def test_a_set_has_the_class_of_a_new_row_with_its_probability(rows: int, level: float) -> None:
    """Whatever probabilities the network gives: here, far too certain ones."""
    source, times = np.random.default_rng(0), 3000
    p = source.dirichlet([0.5] * 4, size=(times, rows + 1))
    y, certain, inside = drawn_classes(source, p), p**3 / (p**3).sum(2, keepdims=True), []
    for probabilities, true in zip(certain, y, strict=True):
        (of_new,) = sets(probabilities[:-1], true[:-1], probabilities[-1:], level)
        assert of_new[probabilities[-1].argmax()]
        inside.append(of_new[true[-1]])
    assert level - 0.02 < np.mean(inside) < level + 1 / (rows + 1) + 0.02


@pytest.mark.usefixtures("full_speed")
def test_the_right_share_of_new_targets_is_below_each_quantile() -> None:
    """Whatever the network predicts: here, quantiles too close to each other, and in a wrong order."""
    source, rows, below = np.random.default_rng(0), 12, []
    for _ in range(3000):
        y = source.exponential(size=rows + 1)
        predicted = np.array([0.9, 0.7, 0.8]) + 0.1 * source.normal(size=(rows + 1, 3))
        held_out = [residuals(y[:-1], column) for column in predicted[:-1].T]
        below.append(y[-1] <= corrected(held_out, predicted[-1:], LEVELS)[0])
    lowest, _, highest = np.mean(below, 0)
    assert 0.1 - 1 / (rows + 1) - 0.01 < lowest < 0.1 + 0.01
    assert 0.9 - 0.01 < highest < 0.9 + 1 / (rows + 1) + 0.01
    assert (np.diff(corrected(held_out, np.array([[9.0, 0, 5]]), LEVELS)) > 0).all()


def test_the_width_follows_the_size_of_errors_near_a_prediction() -> None:
    source = np.random.default_rng(0)
    predicted = source.uniform(0, 10, 2000)
    of_noise = residuals(predicted + predicted * source.normal(size=2000), predicted)
    (low, high), (lower, upper) = limits(of_noise, np.array([2.0, 8.0]), 0.9)
    assert upper - lower == pytest.approx(4 * (high - low), rel=0.2)
    assert upper - lower == pytest.approx(2 * 1.645 * 8, rel=0.1)


@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5), st.integers(1, 3)), min_size=8, max_size=29))
def test_a_row_of_weight_2_is_like_two_rows(rows: list[tuple[float, float, int]]) -> None:
    """In one bin: the limits of several may divide equal rows."""
    y, predicted, weight = np.array(rows).T
    times, count = weight.astype(int), len(rows)
    one = Residuals.of(y, predicted, weight, count)
    other = Residuals.of(y.repeat(times), predicted.repeat(times), np.ones(times.sum()), count)
    at = np.linspace(-6, 6, 5)
    np.testing.assert_allclose(limits(one, at, 0.7), limits(other, at, 0.7), atol=1e-9)


def test_many_rows_are_kept_as_quantiles() -> None:
    errors, predicted = np.random.default_rng(0).normal(size=(2, 50_000))
    found = residuals(predicted + errors, predicted)
    assert 0.99 * MOST_ERRORS <= len(found.errors) <= MOST_ERRORS
    for level, expected, tolerance in ((0.9, 1.645, 0.03), (0.999, 3.29, 0.08)):
        [found_limits] = limits(found, np.zeros(1), level)
        np.testing.assert_allclose(found_limits, [-expected, expected], rtol=tolerance)
    again = Residuals.from_arrays(found.arrays())
    np.testing.assert_array_equal(limits(again, predicted, 0.8), limits(found, predicted, 0.8))


@pytest.mark.parametrize(("rows", "sides", "level"), [(19, 2, 0.9), (9, 2, 0.8), (9, 1, 0.9), (99, 1, 0.99)])
def test_the_fewest_rows_of_a_level(rows: int, sides: int, level: float) -> None:
    """Whose limits are the outermost targets; exact predictions are limits of themselves."""
    y = np.arange(float(rows))
    fewest = residuals(y)
    assert highest_level([fewest], sides) >= level > highest_level([residuals(y[1:])], sides)
    outermost = limits(fewest, np.zeros(1), highest_level([fewest]))
    np.testing.assert_allclose(outermost, [[0, rows - 1]], atol=1e-9)
    np.testing.assert_allclose(limits(residuals(y, y), y, 0.8), np.column_stack([y, y]), atol=1e-9)
    assert np.isnan(highest_level([]))


@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(1, 7)), min_size=10, max_size=40))
def test_equal_targets_are_inside_whatever_the_rounding(rows: list[tuple[int, int]]) -> None:
    """Each row that was held out is a new row: at least so many targets are inside as the level says."""
    y, predicted = np.array(rows, float).T / 7
    lower, upper = limits(residuals(y, predicted), predicted, 0.8).T
    assert np.mean((lower <= y) & (y <= upper)) >= 0.8


@pytest.mark.parametrize("seed", range(3))
def test_equal_probabilities_are_in_the_same_sets(seed: int) -> None:
    """Of inputs that repeat, probabilities do, too; rounding must not leave the class at the limit out."""
    source = np.random.default_rng(seed)
    p = source.dirichlet(np.ones(4), size=5)[source.integers(5, size=50)]
    y = drawn_classes(source, p)
    assert sets(p, y, p, 0.9)[np.arange(50), y].mean() >= 0.9


def test_the_winkler_score_is_that_of_two_pinball_losses() -> None:
    source = np.random.default_rng(0)
    y, weight = source.normal(size=(50, 2)), source.uniform(size=50)
    bounds = np.sort(source.normal(size=(50, 2, 2)), 2)
    found = mean_scores(intervals.interval_scores(bounds, y, 0.8), weight, 0.8)
    losses = [
        mean_pinball_loss(y, bounds[..., limit], sample_weight=weight, alpha=alpha, multioutput="raw_values")
        for limit, alpha in ((0, 0.1), (1, 0.9))
    ]
    assert found["winkler_0.8"] == pytest.approx(2 / 0.2 * np.sum(losses, 0).mean())
    inside = ((bounds[..., 0] <= y) & (y <= bounds[..., 1])).mean(1)
    assert found["coverage_0.8"] == pytest.approx(np.average(inside, weights=weight))
    of_quantiles = np.insert(bounds[:, 0], 1, y[:, 0], axis=1)  # of which the median is exact
    found = scores(of_quantiles, y[:, :1], weight, Task(quantiles=LEVELS))
    assert found["pinball"] == pytest.approx(np.sum(losses, 0)[0] / 3)


def test_scores_of_sets_are_weighted_means() -> None:
    """Classes are in a set from the probability ½ on."""
    even = Uncertainty(Schema((), ("y",), tuple("abc")), [[residuals(np.full(20, 0.5))]])
    probabilities = np.array([[0.6, 0.1, 0.6], [0.2, 0.7, 0.1], [0.8, 0.8, 0.8]])
    by_row = even.scores_by_row(probabilities, np.array([[0.0], [2], [1]]), 0.8)
    found = mean_scores(by_row, np.array([1.0, 2, 1]), 0.8)
    assert found == pytest.approx({"coverage_0.8": 0.5, "set_size_0.8": (2 + 2 * 1 + 3) / 4})


def test_the_coverage_of_a_class_is_scored_where_it_is_far_too_low() -> None:
    """Of 0: 95 of 100 rows, of 1: 2 of 37, of 2: 7 of 9 (chance), of 3: 1 of 2 (chance), of 4: none."""
    y = np.repeat([0.0, 1, 2, 3], [100, 37, 9, 2])[:, None]
    predicted = np.repeat([0, 4, 1, 4, 2, 4, 3, 4], [95, 5, 2, 35, 7, 2, 1, 1])
    uncertainty = Uncertainty(Schema((), ("y",), CLASSES), [[residuals(np.full(20, 0.5))]])
    for weight in (None, np.full(len(y), 3.0)):
        found = uncertainty.scores(np.eye(5)[predicted], y, weight)
        by_class = {name: value for name, value in found.items() if "/" in name}
        assert by_class == pytest.approx({"coverage_0.9/b": 2 / 37})
    outweighs = np.where(np.arange(len(y)) == 110, 1e6, 1.0)  # a row of class 1
    assert not any("/" in name for name in uncertainty.scores(np.eye(5)[predicted], y, outweighs))


@pytest.mark.parametrize(
    ("levels", "expected"),
    [(LEVELS, [0.8]), ([0.05, 0.25, 0.5, 0.75, 0.95], [0.9, 0.5]), ([0.3, 0.5, 0.9], []), ([0.5], [])],
)
def test_levels_of_intervals_between_quantiles(levels: Sequence[float], expected: Sequence[float]) -> None:
    assert intervals.interval_levels(levels) == expected
