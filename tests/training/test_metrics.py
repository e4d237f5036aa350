import numpy as np
import pytest
import torch
from contracts import (
    assert_equal_weights_are_none,
    assert_member_independent,
    assert_weight_equals_repetition,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics import MeanAbsoluteError, MeanSquaredError, Metric, R2Score

from mlplab.training.metrics import RegressionMetrics

Metrics = dict[str, torch.Tensor]


def data(members: int, rows: int, targets: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    source = torch.Generator().manual_seed(rows)
    target, noise = torch.randn(2, members, rows, targets, dtype=torch.float64, generator=source)
    return target + 0.3 * noise, target


def errors(
    predicted: torch.Tensor, target: torch.Tensor, weight: torch.Tensor | None = None, batch: int = 4096
) -> Metrics:
    metric = RegressionMetrics(len(target), target.shape[2])
    for at in range(0, target.shape[1], batch):
        rows = slice(at, at + batch)
        metric.update(predicted[:, rows], target[:, rows], None if weight is None else weight[:, rows])
    return metric.compute()


def assert_equal(found: Metrics, expected: Metrics) -> None:
    for name, value in expected.items():
        assert torch.equal(found[name].reshape(-1), value.reshape(-1)), name


@pytest.mark.parametrize("members", [1, 5])
@pytest.mark.parametrize("rows", [1, 7, 130, 5000])
def test_without_weights_errors_are_torchmetrics_to_the_bit(members: int, rows: int) -> None:
    predicted, target = data(members, rows)
    theirs: dict[str, Metric] = {
        "rmse": MeanSquaredError(squared=False, num_outputs=members).set_dtype(torch.float64),
        "mae": MeanAbsoluteError(num_outputs=members).set_dtype(torch.float64),
    }
    for metric in theirs.values():
        for at in range(0, rows, 4096):
            batch = slice(at, at + 4096)
            metric.update(predicted[:, batch, 0].T, target[:, batch, 0].T)
    found = errors(predicted, target)
    assert_equal(found, {name: metric.compute() for name, metric in theirs.items()})
    if rows > 1:
        r2 = R2Score(multioutput="raw_values")
        r2.update(predicted[..., 0].T, target[..., 0].T)
        torch.testing.assert_close(found["r2"].reshape(-1), r2.compute().reshape(-1))


@pytest.mark.parametrize("weighted", [True, False])
def test_a_member_or_a_target_does_not_depend_on_the_others(weighted: bool) -> None:
    predicted, target = data(4, 130, 5)
    weight = torch.rand(4, 130, 1, generator=torch.Generator().manual_seed(0)) if weighted else None

    def compute(members: list[int]) -> Metrics:
        metrics = errors(predicted[members], target[members], None if weight is None else weight[members])
        return {name: value.reshape(len(members), 5) for name, value in metrics.items()}

    assert_member_independent(compute, 4)
    together = errors(predicted, target, weight)
    one = errors(predicted[..., 2:3], target[..., 2:3], weight)
    assert_equal(one, {name: value[:, 2] for name, value in together.items()})


@settings(max_examples=40)
@given(
    st.lists(st.integers(0, 4), min_size=2, max_size=16).filter(lambda each: sum(map(bool, each)) > 1),
    st.integers(1, 9),
)
def test_weight_equals_repetition(weights: list[int], batch: int) -> None:
    predicted, target = data(1, len(weights), 2)

    def compute(rows: torch.Tensor, weight: torch.Tensor | None) -> Metrics:
        reshaped = None if weight is None else weight.reshape(1, -1, 1)
        return errors(predicted[:, rows], target[:, rows], reshaped, batch)

    assert_weight_equals_repetition(compute, weights)
    assert_equal_weights_are_none(compute, len(weights))
    times = torch.tensor(weights)
    present, weight = times > 0, times.reshape(1, -1, 1).float()
    assert_equal(  # batch by batch of one row, to the bit
        errors(predicted[:, present], target[:, present], weight[:, present], 1),
        errors(predicted, target, weight, 1),
    )


def test_r2_does_not_depend_on_the_unit() -> None:
    predicted, target = data(2, 40)
    small = errors(predicted * 1e-6, target * 1e-6)["r2"]
    np.testing.assert_allclose(small, errors(predicted * 1e6, target * 1e6)["r2"])
    theirs = R2Score(multioutput="raw_values")
    theirs.update((predicted * 1e-6)[..., 0].T, (target * 1e-6)[..., 0].T)
    assert theirs.compute().tolist() == [1, 1]  # which RegressionMetrics avoids


def test_r2_of_a_constant_target_is_nan() -> None:
    target = torch.ones(1, 3, 1, dtype=torch.float64)
    assert errors(torch.zeros_like(target), target)["r2"].isnan().all()


@pytest.mark.parametrize("batch", [1, 3, 7])
def test_r2_ignores_targets_of_weight_0(batch: int) -> None:
    predicted, target = data(2, 40)
    weight = torch.ones(2, 40, 1)
    weight[0, :5] = 0
    far = target.clone()
    far[0, :5] = 1e9
    found = errors(predicted, far, weight, batch)["r2"]
    torch.testing.assert_close(found, errors(predicted, target, weight, batch)["r2"])
