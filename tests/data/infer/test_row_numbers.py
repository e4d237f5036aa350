"""Row numbers, and other whole numbers that may be identifiers."""

import logging
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from support import table_of

from mlplab.data.infer.row_numbers import is_row_number
from mlplab.data.infer.table_spec import Role

ROWS = 120


def frame(**columns: object) -> pl.DataFrame:
    source = np.random.default_rng(0)
    return pl.DataFrame({**columns, "a": source.normal(size=ROWS), "y": source.normal(size=ROWS)})


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("written", ["frame", "csv", "float"])
def test_row_numbers_are_left_out(
    first: int, written: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("mlplab").propagate = True
    rows = frame(id=pl.int_range(first, first + ROWS, eager=True))
    if written == "float":
        rows = rows.with_columns(pl.col("id").cast(pl.Float64))
    if written == "csv":
        rows.write_csv(tmp_path / "t.csv")
    table = table_of(tmp_path / "t.csv" if written == "csv" else rows)
    assert table.schema.names == ["a"]
    assert table.x.shape == (ROWS, 1)
    assert "leaving out column 'id': a row number" in caplog.text
    assert "data.columns.id=numeric keeps it" in caplog.text


def test_row_numbers_beyond_the_integers_of_float32() -> None:
    rows = 2**24 + 4001
    values = (np.arange(rows) - 2047.5).astype(np.float32)
    high = float(values[-1]) + 2047.5
    assert is_row_number(values, 0.0, high, 2047.5)
    values[0], values[1] = values[1], values[0]
    assert not is_row_number(values, 0.0, high, 2047.5)


@pytest.mark.parametrize(
    ("numbers", "why"),
    [
        (list(range(2, ROWS + 2)), "another beginning"),
        ([*range(1, ROWS), None], "a gap"),
        ([1, 0, *range(2, ROWS)], "another order"),
        ([2 * row for row in range(ROWS)], "another step"),
    ],
)
def test_other_whole_numbers_are_kept(numbers: list[int], why: str) -> None:
    assert table_of(frame(id=numbers)).schema.names == ["id", "a"], why


def test_declared_or_only_row_numbers_are_kept(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("mlplab").propagate = True
    rows = frame(id=pl.int_range(ROWS, eager=True))
    assert table_of(rows, declared={"id": "numeric"}).schema.names == ["id", "a"]
    assert table_of(rows.drop("a")).schema.names == ["id"]  # the only input
    assert caplog.text == ""


def test_a_split_may_use_row_numbers() -> None:
    from mlplab.data.infer.read_table import read_table
    from mlplab.data.infer.table_spec import TableSpec
    from mlplab.data.io.source import Source

    roles: tuple[tuple[str, Role], ...] = (("y", "target"), ("id", "time"))
    table = read_table(Source("t", frame(id=pl.int_range(ROWS, eager=True))), TableSpec(roles))
    assert table.schema.names == ["id", "a"]


@pytest.mark.parametrize("start", [7, 10**14])
def test_different_whole_numbers_in_all_rows_get_a_note(
    start: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("mlplab").propagate = True
    numbers = start + np.random.default_rng(1).permutation(ROWS) * 3
    frame(account=numbers).write_csv(tmp_path / "t.csv")
    assert table_of(tmp_path / "t.csv").schema.names == ["account", "a"]
    assert "column 'account': a different whole number in each row" in caplog.text
    assert "drop it: data.columns.account=drop" in caplog.text
    caplog.clear()
    table_of(tmp_path / "t.csv", declared={"account": "numeric"})
    frame(account=[*numbers[:-1], numbers[0]], b=numbers / 4).write_csv(tmp_path / "t.csv")
    table_of(tmp_path / "t.csv")
    assert caplog.text == ""
