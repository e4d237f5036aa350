from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from contracts import assert_member_independent, assert_weight_equals_repetition
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor

from mlplab.data import statistics
from mlplab.data.schema import Column, Schema
from mlplab.data.statistics import member_statistics
from mlplab.data.table import Table

NAN = np.nan
X = np.array(
    # numbers, numbers with missing values, categories, categories with missing values, a constant
    [[1, 2, 0, 1, 7], [2, NAN, 2, NAN, 7], [3, 4, 2, 1, 7], [10, NAN, 0, 0, 7], [50, NAN, 1, NAN, 8]],
    np.float32,
)
Y = np.array([[1.0], [1], [np.e**2], [np.e], [5]])
CATEGORIES = (0, 0, 3, 2, 0)
TRAIN = [np.array([0, 1, 2, 3]), np.array([1, 3, 4])]


def statistics_of(
    x: np.ndarray, y: np.ndarray, train: list[np.ndarray], categories: Sequence[int] = CATEGORIES, **more: Any
) -> dict[str, Tensor]:
    texts = (tuple(map(str, range(count))) for count in categories)
    columns = (Column("x", "categorical" if each else "numeric", categories=each) for each in texts)
    schema, weight = Schema(tuple(columns), ("y",)), more.pop("weight", None)
    table = Table("t", schema, x, y.astype(np.float64), weight, {}, np.arange(len(x)))
    return member_statistics(table, train, **more)


def test_statistics_are_those_of_each_members_training_rows() -> None:
    found, log = (statistics_of(X, Y, TRAIN, log_target=each) for each in (False, True))
    numbers = [0, 1, 4]
    expected = {
        "mean": [[4, 3, 7], [62 / 3, 0, 22 / 3]],
        "std": [[12.5**0.5, 1, 1], [np.std([2, 10, 50]), 1, 2**0.5 / 3]],
        "minimum": [[1, 2, 7], [2, 0, 7]],
        "maximum": [[10, 4, 7], [50, 0, 8]],
        "median": [[2.5, 3, 7], [10, 0, 7]],
        "q25": [[1.75, 2.5, 7], [6, 0, 7]],
        "q75": [[4.75, 3.5, 7], [30, 0, 7.5]],
    }
    for name, values in expected.items():
        np.testing.assert_allclose(found[name][:, 0, numbers], values, err_msg=name)
    assert found["mode"][:, 0].tolist() == [[0, 0, 0, 1, 0], [0, 0, 0, 0, 0]]  # of equally many, the first
    assert found["present"][:, 0].int().tolist() == [[1, 0, 1, 1, 1], [1, 1, 1, 1, 0]]
    assert found["y_std"][0].item() == pytest.approx(Y[:4].std())
    assert found["y_minimum"].flatten().tolist() == [1, 1]
    assert found["y_maximum"].flatten().tolist() == [np.e**2, 5]
    assert all(values.isfinite().all() for values in found.values())
    assert log["y_mean"][0].item() == pytest.approx(0.75)
    assert log["y_std"][0].item() == pytest.approx(0.6875**0.5)
    assert log["y_maximum"][0].item() == np.e**2


@settings(max_examples=15)
@given(arrays(np.float64, (13, 3), elements=st.floats(-1e6, 1e6) | st.just(NAN)), st.integers(1, 18))
def test_blocks_give_the_statistics_of_all_rows(x: np.ndarray, block: int) -> None:
    table = x, np.nan_to_num(x), [np.arange(13)], (0, 0, 0)
    whole = statistics_of(*table)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statistics, "BLOCK", block)
        parts = statistics_of(*table)
    for name, values in whole.items():
        torch.testing.assert_close(parts[name], values, rtol=1e-9, atol=1e-6, msg=name)


@settings(max_examples=30)
@given(arrays(np.float32, (17, 2), elements=st.floats(-10, 10, width=16) | st.just(np.float32(NAN))))
def test_quantiles_are_numpys_ascending_and_exact_where_values_are_equal(x: np.ndarray) -> None:
    found = statistics_of(x, np.zeros((17, 1)), [np.arange(2, 17)], categories=(0, 0), quantiles=True, bins=9)
    assert (found["quantiles"].diff(dim=1) >= 0).all()
    assert torch.equal(found["knots"], found["quantiles"][:, :10])
    for feature in (0, 1):
        known = x[2:, feature][~np.isnan(x[2:, feature])].astype(np.float64)
        expected = np.quantile(known, np.linspace(0, 1, 10)) if len(known) else np.zeros(10)
        np.testing.assert_allclose(found["quantiles"][0, :10, feature], expected, rtol=1e-12, atol=1e-12)


def test_a_sample_is_not_periodic(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every n-th row of a table with a period of n rows would see one phase of it."""
    monkeypatch.setattr(statistics, "SAMPLE", 500)
    x = np.sin(2 * np.pi * np.arange(10_000) / 20)[:, None]
    found = statistics_of(x, x, [np.arange(10_000)], categories=(0,))
    quartiles = [found[name].item() for name in ("q25", "median", "q75")]
    np.testing.assert_allclose(quartiles, np.quantile(x, [0.25, 0.5, 0.75]), atol=0.2)


@settings(max_examples=10)
@given(st.lists(st.integers(0, 3), min_size=22, max_size=22), st.floats(1e-3, 1e3), st.integers(5, 30))
def test_weight_equals_repetition(weights: list[int], unit: float, block: int) -> None:
    source = np.random.default_rng(0)
    x = np.column_stack([source.normal(size=23).round(1), source.integers(0, 4, 23)])
    x[::5] = NAN
    y = source.normal(size=(23, 1))
    frequency = np.array([*weights, 4]) @ (x[:, 1:] == np.arange(4))
    tie = np.sum(frequency == frequency.max()) > 1  # rounding decides

    def compute(rows: Tensor, weight: Tensor | None) -> dict[str, Tensor]:
        of_row = weight.new_zeros(23).index_put((rows,), weight).numpy()
        made = statistics_of(x, y, [rows.numpy()], categories=(0, 4), bins=5, weight=of_row)
        return {name: values for name, values in made.items() if not (tie and name == "mode")}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statistics, "BLOCK", block)
        assert_weight_equals_repetition(compute, [*weights, 4], unit=unit, repeat_last=False)


@pytest.mark.parametrize("weight", [None, np.random.default_rng(1).integers(0, 3, 900).astype(float)])
def test_a_member_does_not_depend_on_the_others(weight: np.ndarray | None) -> None:
    source = np.random.default_rng(0)
    x = np.column_stack([source.normal(size=900), source.integers(0, 4, 900)])
    x[::7] = NAN
    train = [np.arange(900), np.arange(100, 500), np.arange(30), np.arange(900)]

    def compute(members: list[int]) -> dict[str, Tensor]:
        rows = [train[member] for member in members]
        return statistics_of(x, x[:, :1] ** 0, rows, categories=(0, 4), weight=weight, quantiles=True)

    assert_member_independent(compute, len(train))
