from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlplab.data.split import Split, random_split
from mlplab.runs import baselines as module
from mlplab.runs.baselines import RIDGE_PENALTY, SMOOTHING, Columns, Ridge, baselines, scores

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(60, 3)) * [1, 10, 0] + [5, 0, 2]
Y = (X @ [1.0, -2.0, 0.0] + 4 + GENERATOR.normal(size=60))[:, None]
ROWS = np.arange(60)
SPLIT = Split(ROWS[:40], ROWS[40:50], ROWS[50:])

# a number, a number with gaps, two categories with gaps, the second of many
CATEGORIES = (0, 0, 3, 100)
MIXED = np.column_stack(
    [X[:, :2], GENERATOR.integers(0, 3, 60), GENERATOR.integers(0, 4, 60)],
).astype(np.float32)
MIXED[::7, 1:] = np.nan
TWO = np.column_stack([Y[:, 0], GENERATOR.normal(size=60)])


@pytest.mark.parametrize("block", [8192, 7])
def test_ridge_is_the_closed_form_on_standardised_columns(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BLOCK", block)
    mean, std = X.mean(0), np.where(X.std(0) > 0, X.std(0), 1)
    standard = (X - mean) / std
    slopes = np.linalg.solve(
        standard.T @ standard + RIDGE_PENALTY * np.eye(3), standard.T @ (TWO - TWO.mean(0))
    )
    found = Ridge(X, TWO, None, ROWS, [0, 0, 0]).predict(X, ROWS)
    np.testing.assert_allclose(found, standard @ slopes + TWO.mean(0), rtol=1e-10, atol=1e-10)


def test_ridge_minimises_its_objective() -> None:
    mean, std = X.mean(0), np.where(X.std(0) > 0, X.std(0), 1)
    standard, y = (X - mean) / std, Y[:, 0]
    ridge = Ridge(X, Y, None, ROWS, [0, 0, 0])
    weights = ridge.predict(mean + np.diag(std), np.arange(3))[:, 0] - y.mean()

    def objective(w: np.ndarray) -> float:
        return float(((y - y.mean() - standard @ w) ** 2).sum() + RIDGE_PENALTY * w @ w)

    for step in 1e-3 * np.vstack([np.eye(3), -np.eye(3)]):
        assert objective(weights) < objective(weights + step)


@given(st.lists(st.integers(0, 3), min_size=60, max_size=60).filter(lambda each: sum(map(bool, each)) > 1))
def test_a_weight_is_a_row_so_many_times(weights: list[int]) -> None:
    found = Ridge(MIXED, TWO, np.array(weights, dtype=np.float32), ROWS, CATEGORIES)
    repeated = Ridge(MIXED, TWO, None, np.repeat(ROWS, weights), CATEGORIES)
    np.testing.assert_allclose(
        found.predict(MIXED, ROWS), repeated.predict(MIXED, ROWS), rtol=1e-8, atol=1e-8
    )
    rows = np.repeat(ROWS, weights)
    predicted = np.zeros_like(TWO)
    ours, theirs = scores(predicted, TWO, np.array(weights, float)), scores(predicted[rows], TWO[rows], None)
    if np.count_nonzero(weights) > 1:
        assert ours == pytest.approx(theirs)
    ours = scores(np.zeros((60, 2)), TWO, np.array(weights, dtype=np.float32))
    theirs = scores(np.zeros((sum(weights), 2)), TWO[np.repeat(ROWS, weights)], None)
    assert ours == pytest.approx(theirs)


def test_what_stands_for_gaps_and_categories() -> None:
    x = np.array([[1, 0, 0], [3, 1, 99], [np.nan, np.nan, 99], [5, 1, np.nan], [7, 2, 5]])
    y = np.array([[1.0], [2.0], [6.0], [3.0], [1e9]])
    found = Columns(x, y, np.ones(5), np.arange(4), (0, 3, 100))(x)
    zero, many = (1 + SMOOTHING * 3) / (1 + SMOOTHING), (8 + SMOOTHING * 3) / (2 + SMOOTHING)
    expected = [
        # number, its gaps, those of the categories, one-hot, mean target
        [1, 0, 0, 0, 1, 0, 0, zero],
        [3, 0, 0, 0, 0, 1, 0, many],
        [3, 1, 1, 0, 0, 0, 0, many],
        [5, 0, 0, 1, 0, 1, 0, 3],
        [7, 0, 0, 0, 0, 0, 1, 3],
    ]
    np.testing.assert_allclose(found, expected)


def test_the_mean_scores_no_better_than_zero() -> None:
    split = random_split(ROWS, val=0.2, test=0.2, seed=0)
    found = baselines(X, Y, None, split, [0, 0, 0])
    expected = Y[split.test] - Y[split.train].mean()
    assert found["mean"]["rmse"] == pytest.approx(np.sqrt(np.mean(expected**2)))
    assert found["mean"]["r2"] <= 0 < found["ridge"]["r2"]


def test_nothing_is_learnt_from_val_or_test_rows_nor_from_those_without_weight() -> None:
    weight = np.ones(60)
    weight[:5] = 0
    x, y = MIXED.copy(), TWO.copy()
    x[:5, :2], x[40:50, :2] = 1e6, np.nan
    x[:5, 2:], x[40:50, 2:] = 1, np.nan
    y[:5] = y[40:50] = 1e6
    expected = baselines(MIXED, TWO, weight, SPLIT, CATEGORIES)
    assert baselines(x, y, weight, SPLIT, CATEGORIES) == expected
    alone = Split(ROWS[5:40], ROWS[40:50], ROWS[50:])
    assert baselines(MIXED, TWO, np.ones(60), alone, CATEGORIES) == expected


def test_a_mapped_file_is_a_matrix(tmp_path: Path) -> None:
    MIXED.tofile(tmp_path / "x")
    mapped = np.memmap(tmp_path / "x", np.float32, "r", shape=MIXED.shape)
    expected = baselines(MIXED, TWO, None, SPLIT, CATEGORIES)
    assert baselines(mapped, TWO, None, SPLIT, CATEGORIES) == expected


def test_scores_by_hand() -> None:
    predicted, y = np.array([[1.0], [2.0], [4.0]]), np.array([[1.0], [2.0], [3.0]])
    found = scores(predicted, y, None)
    assert found == {"rmse": pytest.approx(3**-0.5), "mae": pytest.approx(1 / 3), "r2": pytest.approx(0.5)}
    both = scores(np.hstack([predicted, y]), np.hstack([y, y]), None)
    assert both == {name: pytest.approx((value + (name == "r2")) / 2) for name, value in found.items()}
    assert np.isnan(scores(np.zeros((2, 1)), np.ones((2, 1)), None)["r2"])
