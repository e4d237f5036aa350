import numpy as np
import polars as pl
import pytest
import torch

from mlplab.data.schema import Schema, Statistics
from mlplab.data.table import Table
from mlplab.errors import UserError

TABLE = Table("t", pl.DataFrame({"a": [1.0, 2, 3, 10], "y": [5.0, 5, 8, 9], "c": [7.0, 7, 7, 8]}), "y")


def test_offsets_keep_the_digits_of_large_values() -> None:
    large = 1e12 + np.arange(8.0)
    table = Table("t", pl.DataFrame({"a": large, "y": -large}), "y")
    x, y = Schema.of(table).centred(table)
    assert np.diff(x.astype(np.float32)[:, 0]).tolist() == [1.0] * 7
    assert np.diff(y[:, 0]).tolist() == [-1.0] * 7


@pytest.mark.parametrize("value", [1e39, 1e300, 1e-40])
def test_values_beyond_float32_are_told(value: float) -> None:
    table = Table("t", pl.DataFrame({"a": [0.0, 0.0, value], "y": [1.0, 2, 3]}), "y")
    with pytest.raises(UserError, match="t, column 'a': its values are too small or too large"):
        Schema.of(table)


def test_a_raw_schema_changes_nothing() -> None:
    x, y = Schema.of(TABLE, raw=True).centred(TABLE)
    np.testing.assert_array_equal(x, TABLE.frame.select("a", "c").to_numpy())
    np.testing.assert_array_equal(y[:, 0], TABLE.frame["y"].to_numpy())


def test_statistics_are_those_of_each_members_training_rows() -> None:
    schema = Schema.of(TABLE)
    x, y = schema.centred(TABLE)
    train = [np.array([0, 1, 2]), np.array([1, 2, 3])]
    found = Statistics.of(x, y, train)
    for member, rows in enumerate(train):
        for values, mean, std in ((x, found.x_mean, found.x_std), (y, found.y_mean, found.y_std)):
            np.testing.assert_allclose(mean[member, 0], values[rows].mean(0))
            spread = values[rows].std(0)
            np.testing.assert_allclose(std[member, 0], np.where(spread == 0, 1, spread))
    assert found.x_std[0, 0, 1] == 1  # column c is constant in the first member's rows
    assert found.x_std.dtype == torch.float64


def test_no_statistic_comes_from_other_rows() -> None:
    schema, train = Schema.of(TABLE), [np.array([0, 2])]
    x, y = schema.centred(TABLE)
    before = Statistics.of(x, y, train)
    x[[1, 3]], y[[1, 3]] = 1e9, -1e9
    after = Statistics.of(x, y, train)
    for name in ("x_mean", "x_std", "y_mean", "y_std"):
        assert torch.equal(getattr(before, name), getattr(after, name))
