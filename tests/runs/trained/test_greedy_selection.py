import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlplab.config.metrics import sign_of
from mlplab.runs.trained.greedy_selection import error_of, greedy_selection
from mlplab.training.scoring.scores import Task, scores

METRICS = ("rmse", "mae", "standardised_rmse", "log_loss")


@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 8), st.sampled_from(METRICS))
def test_the_ensemble_is_never_worse_than_the_best_run(seed: int, runs: int, steps: int, metric: str) -> None:
    source = np.random.default_rng(seed)
    y = source.normal(size=(9, 3)) * [1, 100, 1e-3]
    predictions = y + source.normal(size=(runs, 9, 3)) * y.std(0)
    if metric == "log_loss":
        y, predictions = source.integers(0, 3, (9, 1)) * 1.0, source.dirichlet(np.full(3, 0.3), (runs, 9))
    error = error_of(metric, y, source.random(9) + 0.01, 3 * (metric == "log_loss"))
    drawn = [(each, 0.5) for each in predictions]
    chosen = greedy_selection(drawn, error, steps)
    assert len(chosen) == steps
    single = [error(*run) for run in drawn]
    assert chosen[0] == np.argmin(single)
    assert error(predictions[chosen].mean(0), 0.5) <= min(single) + 1e-12
    assert chosen == greedy_selection(drawn * 2, error, steps)  # ties


def test_runs_whose_errors_cancel_are_chosen() -> None:
    y = np.full((4, 1), 2.0)
    predictions = y + np.array([1.0, -1.1, 1.05]).reshape(3, 1, 1)
    error = error_of("rmse", y, None, 0)
    assert greedy_selection([(each, 0.5) for each in predictions], error, 4) == [0, 1, 0, 1]


def test_errors_by_hand() -> None:
    y, weight = np.array([[0.0, 0.0], [2.0, 20.0]]), np.array([1.0, 3.0])
    error = error_of("standardised_rmse", y, weight, 0)
    std = 2 * (0.25 * 0.75) ** 0.5
    for shift in ([std, 0], [0, 10 * std]):
        assert error(y + np.array(shift), 0.5) == pytest.approx(0.5)
    log_loss = error_of("log_loss", np.array([[0.0], [1.0]]), weight, 2)
    assert np.isfinite(log_loss(np.array([[0.0, 1.0], [1.0, 0.0]]), 0.5))


def test_predicted_classes_are_judged_by_the_mean_of_the_thresholds() -> None:
    y, second = np.array([[0.0], [0.0], [1.0], [1.0]]), np.array([[0.1, 0.3, 0.2, 0.4], [0.0, 0.1, 0.2, 0.3]])
    wrong, right = np.stack([1 - second, second], 2)
    error = error_of("accuracy", y, None, 2)
    assert greedy_selection([(wrong, 0.15), (right, 0.15)], error, 2) == [1, 1]
    # Each threshold alone makes an error.
    assert greedy_selection([(right, 0.25), (right, 0.05)], error, 2) == [0, 1]


@pytest.mark.parametrize(("metric", "classes"), [("rmse", 0), ("r2", 0), ("log_loss", 3), ("f1_macro", 2)])
def test_errors_are_the_metrics_of_scores(metric: str, classes: int) -> None:
    source = np.random.default_rng(0)
    weight = source.random(30)
    y = source.integers(0, classes, (30, 1)).astype(float) if classes else source.normal(size=(30, 2))
    predicted = source.dirichlet(np.ones(classes), 30) if classes else source.normal(size=(30, 2))
    expected = scores(predicted, y, weight, Task(classes), 0.3)[metric]
    assert error_of(metric, y, weight, classes)(predicted, 0.3) == pytest.approx(sign_of(metric) * expected)
