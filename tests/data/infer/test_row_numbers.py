"""Row numbers, and other whole numbers that may be identifiers."""

import logging
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from support import table_of

from mlplab.data.infer.row_numbers import counts_rows, names_row_number
from mlplab.data.infer.table_spec import Role
from mlplab.data.io.dialect import CsvOptions

ROWS = 120


def frame(**columns: object) -> pl.DataFrame:
    source = np.random.default_rng(0)
    return pl.DataFrame({**columns, "a": source.normal(size=ROWS), "y": source.normal(size=ROWS)})


COUNTS = [range(ROWS), range(1, ROWS + 1), range(1001, 1001 + ROWS), range(ROWS, 0, -1), range(10, 1201, 10)]


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("written", ["frame", "csv", "float"])
def test_row_numbers_are_left_out(
    count: range, written: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("mlplab").propagate = True
    rows = frame(id=list(count))
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
    low, high = -2047.5, rows - 2048.5
    assert counts_rows(values, low, high)
    values[0], values[1] = values[1], values[0]
    assert not counts_rows(values, low, high)


@pytest.mark.parametrize(
    ("numbers", "why"),
    [
        ([*range(1, ROWS), None], "a gap"),
        ([1, 0, *range(2, ROWS)], "another order"),
        ([*range(1, ROWS), ROWS + 5], "another step"),
        ([row / 4 for row in range(ROWS)], "no whole numbers"),
    ],
)
def test_other_whole_numbers_are_kept(numbers: list[int], why: str) -> None:
    assert table_of(frame(id=numbers)).schema.names == ["id", "a"], why


@pytest.mark.parametrize("count", COUNTS)
def test_columns_that_count_something_else_are_kept(count: range) -> None:
    names = ["age", "t", "day_of_year", "rank", "Day"]
    assert table_of(frame(**{name: list(count) for name in names})).schema.names == [*names, "a"]


def test_names_of_row_numbers() -> None:
    say_so = "id,ID,PassengerId,customer_id,Patient ID,RowNumber,row,rownames,S.No,No.,#,index,obs,Case,seq"
    generated = "sample_id,Serial Number,Unnamed: 0,...1,column_1,V1,_c0,__index_level_0__"
    others = "t,age,rank,Day,day_of_year,time_index,atomic number,episode number,number of rooms,paid,grid"
    more = "s,x,X1,2019,order,period,sample size,price index,line width,week no,Idaho"
    assert [name for name in f"{say_so},{generated}".split(",") if not names_row_number(name)] == []
    assert [name for name in f"{others},{more}".split(",") if names_row_number(name)] == []


def test_a_table_without_a_header_has_a_row_number(tmp_path: Path) -> None:
    frame(id=list(range(1, ROWS + 1))).write_csv(tmp_path / "t.csv", include_header=False)
    table = table_of(tmp_path / "t.csv", "column_3", given=CsvOptions(header=False))
    assert table.schema.names == ["column_2"]


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
