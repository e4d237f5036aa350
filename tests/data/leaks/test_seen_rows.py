"""Which rows are recognised as rows of training, by their keys."""

import numpy as np
import polars as pl
import pytest
from support import table_of

from mlplab.data.cache import RunData
from mlplab.data.leaks import row_keys
from mlplab.data.leaks.row_keys import DIGITS, RowHasher, Values
from mlplab.data.splits.split import Split

ROWS = 3000


def data_of(frame: pl.DataFrame) -> RunData:
    """The first half of the rows is in training, the second is the test."""
    train, val, test = np.split(np.arange(len(frame)), [len(frame) // 2 - 10, len(frame) // 2])
    return RunData(table_of(frame), Split(train, val, test))


def recognised(data: RunData) -> int:
    """How many test rows are recognised as rows in training."""
    return int(data.seen.recognised(data.table.values, data.split.test).sum())


def test_rows_that_6_digits_cannot_tell_apart_are_compared_with_more() -> None:
    """Of two kinds of rows with a continuous target, one in ten of 30,000 is close to another."""
    source = np.random.default_rng(0)
    frame = pl.DataFrame({"a": source.integers(0, 2, 10 * ROWS), "y": source.normal(size=10 * ROWS)})
    data = data_of(frame)
    assert recognised(data) <= 0.001 * len(data.split.test)
    assert data.repeated_test_rows == 0
    again = data_of(pl.concat([frame[: 5 * ROWS], frame[: 5 * ROWS]]))
    assert recognised(again) == again.repeated_test_rows == 5 * ROWS


def test_rows_that_differ_by_1_in_one_column_are_distinct() -> None:
    """Other columns are the same, or close; the numbers have 6 digits in any copy."""
    source = np.random.default_rng(0)
    numbers, y = source.permutation(499_999)[:ROWS] * 2, source.choice((0.1, 1 / 3), ROWS)
    b = 0.5 + 1e-9 * source.normal(size=2 * ROWS)
    b[:2] = -1, 2
    frame = pl.DataFrame({"n": np.concatenate([numbers, numbers + 1]), "b": b, "y": np.concatenate([y, y])})
    assert recognised(data_of(frame)) == 0


@pytest.mark.parametrize("digits", DIGITS)
def test_recognition_depends_on_neither_order_nor_blocks(
    monkeypatch: pytest.MonkeyPatch, digits: int
) -> None:
    source = np.random.default_rng(0)
    x = source.standard_cauchy(size=(ROWS, 5))
    x[source.random(x.shape) < 0.1] = np.nan
    values = Values(x, source.normal(size=(ROWS, 1)), [0.0, 1e9, 0.0, 0.0, -3.0])
    keys = RowHasher.of(values, [False] * 5, digits)
    rows = np.arange(ROWS)
    known = np.sort(keys.keys(values, rows))
    monkeypatch.setattr(row_keys, "BLOCK", 7)
    order = source.permutation(ROWS)
    assert keys.recognised(values, order, known).all()
