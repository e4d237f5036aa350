import numpy as np
import polars as pl
import pytest
from support import table_of

from mlplab.data.cache import RunData
from mlplab.data.leaks import row_keys
from mlplab.data.leaks.row_keys import DIGITS, RowHasher, TableValues
from mlplab.data.splits.split import Split

ROWS = 3000


def data_of(frame: pl.DataFrame) -> RunData:
    """The first half of the rows is in training, the second is the test."""
    train, val, test = np.split(np.arange(len(frame)), [len(frame) // 2 - 10, len(frame) // 2])
    return RunData(table_of(frame), Split(train, val, test))


def recognised(data: RunData) -> int:
    return int(data.seen.recognised(data.table.values, data.split.test).sum())


def test_rows_that_6_digits_cannot_tell_apart_are_compared_with_more() -> None:
    """Of two kinds of rows with a continuous target, one in ten of 30,000 is close to another."""
    source = np.random.default_rng(0)
    frame = pl.DataFrame({"a": source.integers(0, 2, 10 * ROWS), "y": source.normal(size=10 * ROWS)})
    data = data_of(frame)
    assert recognised(data) <= 0.001 * len(data.split.test)
    assert data.repeated_test_rows == recognised(data)
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


def few(rows: int, seed: int) -> pl.DataFrame:
    """Rows of four columns, the last of which mostly repeats the first, and two classes."""
    source = np.random.default_rng(seed)
    codes = source.integers(0, 4, (rows, 3))
    codes = np.column_stack([codes, np.where(source.random(rows) < 0.9, codes[:, 0], 0)])
    y = (codes.sum(1) % 2 == 0) ^ (source.random(rows) < 0.15)
    columns = {f"c{place}": [f"v{code}" for code in column] for place, column in enumerate(codes.T)}
    return pl.DataFrame({**columns, "y": np.where(y, "yes", "no")})


def test_rows_of_few_categories_are_equal_by_chance_and_others_are_copies() -> None:
    data = data_of(few(1000, 0))
    assert data.seen.by_chance[1] > 0.8 * len(data.split.test)
    assert data.repeated_test_rows == 0  # though columns depend on each other
    source = np.random.default_rng(0)
    numbers = pl.DataFrame({"a": source.normal(size=300), "y": source.choice(["yes", "no"], 300)})
    for frame in (numbers, few(500, 0).with_columns(y=source.normal(size=500))):
        copied = data_of(pl.concat([frame, frame]))
        assert copied.seen.by_chance[1] == 0
        assert copied.repeated_test_rows == len(frame)


def test_without_test_rows_training_rows_show_chance() -> None:
    """By all rows that new ones are compared with, whichever part of them a member trains on."""
    table, rows = table_of(few(1000, 0)), np.arange(1000)
    new = table_of(few(1000, 1))
    for split in (Split(rows[:500], rows[500:], rows[:0]), Split(rows, rows[:0], rows[:0])):
        seen = RunData(table, split).seen
        assert seen.is_chance(seen.recognised(new.values, rows))
        assert not seen.is_chance(np.ones(1000, np.bool_))
        assert seen.is_chance(np.zeros(0, np.bool_))


@pytest.mark.parametrize("digits", DIGITS)
def test_neither_order_nor_blocks_matter(monkeypatch: pytest.MonkeyPatch, digits: int) -> None:
    source = np.random.default_rng(0)
    x = source.standard_cauchy(size=(300, 5))
    x[source.random(x.shape) < 0.1] = np.nan
    values = TableValues(x, source.normal(size=(300, 1)), [0.0, 1e9, 0.0, 0.0, -3.0])
    keys = RowHasher.of(values, [False] * 5, digits)
    known = np.sort(keys.keys(values, np.arange(300)))
    monkeypatch.setattr(row_keys, "BLOCK", 7)
    assert keys.recognised(values, source.permutation(300), known).all()
