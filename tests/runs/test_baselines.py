import numpy as np
import pytest

from mlplab.data.split import Split, random_split
from mlplab.runs.baselines import RIDGE_PENALTY, baselines, ridge, scores

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(60, 3)) * [1, 10, 0] + [5, 0, 2]
Y = X @ [1.0, -2.0, 0.0] + 4 + GENERATOR.normal(size=60)


def test_ridge_minimises_its_objective() -> None:
    mean, std = X.mean(0), np.where(X.std(0) > 0, X.std(0), 1)
    standard = (X - mean) / std
    weights = np.array([(ridge(X, Y, mean + std * unit) - Y.mean()).item() for unit in np.eye(3)[:, None]])

    def objective(w: np.ndarray) -> float:
        return float(((Y - Y.mean() - standard @ w) ** 2).sum() + RIDGE_PENALTY * w @ w)

    for step in 1e-3 * np.vstack([np.eye(3), -np.eye(3)]):
        assert objective(weights) < objective(weights + step)


def test_the_mean_scores_no_better_than_zero() -> None:
    split = random_split(60, val=0.2, test=0.2, seed=0)
    found = baselines(X, Y, split)
    expected = Y[split.test] - Y[split.train].mean()
    assert found["mean"]["rmse"] == pytest.approx(np.sqrt(np.mean(expected**2)))
    assert found["mean"]["r2"] <= 0 < found["ridge"]["r2"]


def test_nothing_is_learnt_from_val_or_test_rows() -> None:
    split = Split(np.arange(40), np.arange(40, 50), np.arange(50, 60))
    changed = Y.copy()
    changed[40:50] = 1e6
    assert baselines(X, Y, split) == baselines(X, changed, split)


def test_scores_by_hand() -> None:
    found = scores(np.array([1.0, 2.0, 4.0]), np.array([1.0, 2.0, 3.0]))
    assert found == {"rmse": pytest.approx(3**-0.5), "mae": pytest.approx(1 / 3), "r2": pytest.approx(0.5)}
    assert np.isnan(scores(np.zeros(2), np.ones(2))["r2"])
