from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from contracts import assert_weight_equals_repetition
from hypothesis import given
from hypothesis import strategies as st

from mlplab.data.splits.split import Split
from mlplab.data.splits.splitters import random_split
from mlplab.runs import baselines as module
from mlplab.runs.baselines import Baselines, scores

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


def fitted(
    x: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray | None,
    split: Split,
    categories: Sequence[int],
) -> dict[str, dict[str, float]]:
    return Baselines(x, y, weight, split.train, categories).scores(x, y, weight, split.test)


def test_ridge_is_the_closed_form_on_standardised_columns() -> None:
    found = Baselines(X, TWO, None, ROWS, [0, 0, 0])
    mean, std = X.mean(0), np.where(X.std(0) > 0, X.std(0), 1)
    standard = (X - mean) / std
    predicted = found.ridge.predict(X)
    for target, penalty in enumerate(found.ridge[-1].alpha_):
        y = TWO[:, target]
        slopes = np.linalg.solve(standard.T @ standard + penalty * np.eye(3), standard.T @ (y - y.mean()))
        np.testing.assert_allclose(predicted[:, target], standard @ slopes + y.mean(), rtol=1e-8, atol=1e-8)
    assert len(set(found.ridge[-1].alpha_)) == 2  # one target is noise


def test_the_penalty_does_not_depend_on_the_weights_unit() -> None:
    weight = GENERATOR.uniform(0.5, 2, 60)
    one, other = (fitted(MIXED, TWO, weight * unit, SPLIT, CATEGORIES) for unit in (1, 1e4))
    assert one["ridge"] == pytest.approx(other["ridge"])
    assert one != fitted(MIXED, TWO, None, SPLIT, CATEGORIES)


def test_a_category_of_a_row_or_two_tells_nothing_of_the_target() -> None:
    """Each row has a category of its own, which a mean of the targets of training would give away."""
    x, y = np.column_stack([np.arange(60.0) % 45]), GENERATOR.normal(size=(60, 1))
    assert fitted(x, y, None, SPLIT, [60])["ridge"]["r2"] < 0.1


def test_missing_numbers_and_unseen_categories_are_predicted() -> None:
    x = MIXED.copy()
    x[50:, 1], x[50:, 2], x[50:, 3] = np.nan, 2, 50  # no such category in training
    x[:40, 2] = np.where(x[:40, 2] == 2, 1, x[:40, 2])
    assert fitted(x, TWO, None, SPLIT, CATEGORIES)["ridge"]["rmse"] < np.inf
    x[:, 1] = np.nan  # all missing
    assert fitted(x, TWO, None, SPLIT, CATEGORIES)["ridge"]["rmse"] < np.inf


def test_many_rows_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FITTED_ROWS", (20, 20))
    monkeypatch.setattr(module, "BLOCK", 3)
    found = Baselines(X, Y, None, ROWS, [0, 0, 0])
    assert found.ridge[0]["numbers"][1].n_samples_seen_ == 20
    assert found.mean == pytest.approx(Y.mean())
    assert len(found.scores(X, Y, None, ROWS)) == 2


@given(st.lists(st.integers(0, 3), min_size=60, max_size=60).filter(lambda each: sum(map(bool, each)) > 1))
def test_weight_equals_repetition_in_scores(weights: list[int]) -> None:
    def compute(rows: torch.Tensor, weight: torch.Tensor | None) -> dict[str, torch.Tensor]:
        y = TWO[rows.numpy()]
        found = scores(np.zeros_like(y), y, None if weight is None else weight.numpy())
        return {name: torch.tensor(value) for name, value in found.items()}

    assert_weight_equals_repetition(compute, weights)


def test_the_mean_scores_no_better_than_zero() -> None:
    split = random_split(ROWS, val=0.2, test=0.2, seed=0)
    found = fitted(X, Y, None, split, [0, 0, 0])
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
    expected = fitted(MIXED, TWO, weight, SPLIT, CATEGORIES)
    assert fitted(x, y, weight, SPLIT, CATEGORIES) == expected
    alone = Split(ROWS[5:40], ROWS[40:50], ROWS[50:])
    assert fitted(MIXED, TWO, np.ones(60), alone, CATEGORIES) == expected


def test_a_mapped_file_is_a_matrix(tmp_path: Path) -> None:
    MIXED.tofile(tmp_path / "x")
    mapped = np.memmap(tmp_path / "x", np.float32, "r", shape=MIXED.shape)
    expected = fitted(MIXED, TWO, None, SPLIT, CATEGORIES)
    assert fitted(mapped, TWO, None, SPLIT, CATEGORIES) == expected


def test_scores_by_hand() -> None:
    predicted, y = np.array([[1.0], [2.0], [4.0]]), np.array([[1.0], [2.0], [3.0]])
    found = scores(predicted, y, None)
    assert found == {"rmse": pytest.approx(3**-0.5), "mae": pytest.approx(1 / 3), "r2": pytest.approx(0.5)}
    both = scores(np.hstack([predicted, y]), np.hstack([y, y]), None)
    assert both == {name: pytest.approx((value + (name == "r2")) / 2) for name, value in found.items()}
    assert np.isnan(scores(np.zeros((2, 1)), np.ones((2, 1)), None)["r2"])
