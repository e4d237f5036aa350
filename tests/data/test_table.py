"""Files and frames as tables: what comes back, and what is refused."""

import gzip
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import CONCRETE, table_of

from mlplab.errors import UserError

FRAME = pl.DataFrame(
    {
        "number": [i / 8 for i in range(40)],
        "whole": [None if i % 9 == 4 else 10**11 + i for i in range(40)],
        "truth": [None if i % 7 == 3 else i % 2 == 0 for i in range(40)],
        "colour": [None if i % 8 == 5 else ["red", 'a "b", c', "two\nlines", "é"][i % 4] for i in range(40)],
        "day": [datetime(2024, 1, 31).date() + timedelta(days=11 * i) for i in range(40)],
        "moment": [datetime(2024, 1, 31) + timedelta(hours=7.25 * i) for i in range(40)],
        "w": [1.0 + i % 3 for i in range(40)],
        "y": [float(i) ** 1.5 for i in range(40)],
    }
)


def write(folder: Path, text: str, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def refusal(path: Path, target: str = "y") -> str:
    with pytest.raises(UserError) as raised:
        table_of(path, target)
    return str(raised.value)


def test_the_table_of_the_package() -> None:
    table = table_of(CONCRETE, "target", dtype=np.float64, raw=True)
    frame = pl.read_csv(CONCRETE)
    assert table.x.shape == (1030, 8)
    assert table.schema.names[0] == "cement"
    np.testing.assert_array_equal(table.x, frame.drop("target").to_numpy())
    np.testing.assert_array_equal(table.y, frame.select("target").to_numpy())
    assert table.y.mean() == pytest.approx(35.818, abs=1e-3)


reasonable = st.floats(-1e20, 1e20).filter(lambda value: value == 0 or abs(value) > 1e-20)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=5)
@given(st.lists(st.tuples(*[reasonable] * 3), min_size=1, max_size=20))
def test_numbers_that_polars_writes_come_back(tmp_path: Path, rows: list[tuple[float, ...]]) -> None:
    edge = [(1.0, 2.0, 3.0), (2.0, 3.0, 5.0)]  # columns must vary
    frame = pl.DataFrame([*edge, *rows], schema=["a", "b", "y"], orient="row")
    frame.write_csv(tmp_path / "t.csv")
    table = table_of(tmp_path / "t.csv", dtype=np.float64, raw=True)
    np.testing.assert_array_equal(np.hstack([table.x, table.y]), frame.to_numpy())


def test_csv_parquet_and_a_frame_are_the_same_table(tmp_path: Path) -> None:
    FRAME.write_csv(tmp_path / "t.csv")
    FRAME.write_csv(tmp_path / "tabs.tsv", separator="\t", line_terminator="\r\n")
    FRAME.write_csv(tmp_path / "comma.csv", separator=";", decimal_comma=True)
    FRAME.write_parquet(tmp_path / "t.parquet")
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress((tmp_path / "t.csv").read_bytes()))
    (tmp_path / "utf16.csv").write_text((tmp_path / "t.csv").read_text("utf-8"), encoding="utf-16")
    frame = table_of(FRAME, weight="w")
    names = ["t.csv", "tabs.tsv", "comma.csv", "t.parquet", "t.csv.gz", "utf16.csv"]
    for name in names:
        table = table_of(tmp_path / name, weight="w")
        np.testing.assert_array_equal(table.x, frame.x, name)
        assert table.fingerprint == frame.fingerprint, name
        assert table.schema.category_counts == frame.schema.category_counts
    assert frame.schema.names == FRAME.columns[:-2]
    assert frame.weight is not None
    assert frame.weight.tolist() == FRAME["w"].to_list()


def test_a_fingerprint_depends_on_names_values_and_weights() -> None:
    first = table_of(FRAME, weight="w").fingerprint
    cell = FRAME["number"].to_list()
    others = [
        table_of(FRAME.rename({"number": "n"}), weight="w"),
        table_of(FRAME.with_columns(number=pl.Series([*cell[:-1], 5.0])), weight="w"),
        table_of(FRAME.with_columns(pl.col("y") + 1), weight="w"),
        table_of(FRAME.with_columns(pl.col("w") + 1), weight="w"),
        table_of(FRAME.drop("w")),
    ]
    assert len({str(each.fingerprint) for each in others} | {str(first)}) == 6
    assert first["rows"] == 40


@pytest.mark.parametrize("how", ["folder", "pattern", "parquet"])
def test_several_files_are_one_table(tmp_path: Path, how: str) -> None:
    whole = table_of(FRAME, weight="w")
    for number, start in enumerate(range(0, 40, 15)):
        part = FRAME[start : start + 15]
        if how == "parquet":
            part.write_parquet(tmp_path / f"part-{number}.parquet")
        else:
            part.write_csv(tmp_path / f"part-{number}.csv")
    path = tmp_path / "part-*.csv" if how == "pattern" else tmp_path
    assert table_of(path, weight="w").fingerprint == whole.fingerprint


@pytest.mark.parametrize("header", [",a,y", '"","a","y"'])
def test_a_row_index_changes_nothing(tmp_path: Path, header: str) -> None:
    plain = table_of(write(tmp_path, "a,y\n" + "".join(f"{i},{i * i}\n" for i in range(5))))
    for part, rows in enumerate((range(3), range(3, 5)), 1):
        lines = [f'"row {i}",{i},{i * i}' for i in rows]
        write(tmp_path, "\n".join([header, *lines]), f"part-{part}.csv")
    indexed = table_of(tmp_path / "part-*.csv")
    assert indexed.fingerprint == plain.fingerprint
    assert list(indexed.schema.left_out) == [""]
    write(tmp_path, f"{header}\nr0,0,1\nr1,1,1\n\nr2,x,3\n", "part-2.csv")
    assert "part-2.csv, column 'a', line 5, data row 3" in refusal(tmp_path / "part-*.csv")


def test_rows_without_a_target_are_refused_or_belong_to_no_part() -> None:
    frame = pl.DataFrame({"a": range(5), "y": [1, None, 3, 4, 5], "z": [1.0, 2, None, 4, float("nan")]})
    with pytest.raises(UserError) as raised:
        table_of(frame, ["y", "z"], drop_missing_targets=False)
    assert "target column 'y', data row 2: a value is missing" in str(raised.value)
    assert "target column 'z', data row 3: a value is missing; 2 such rows" in str(raised.value)
    assert table_of(frame, ["y", "z"], drop_missing_targets=True).rows.tolist() == [0, 3]


def test_empty_lines_are_not_rows(tmp_path: Path) -> None:
    table = table_of(write(tmp_path, "a,y\n\n1,2\n\n3,4\n\n"), raw=True, task="regression")
    assert table.x[:, 0].tolist() == [1, 3]
    assert table.y[:, 0].tolist() == [2, 4]
    assert table.rows.tolist() == [0, 1]


def test_lines_of_delimiters_only_are_rows(tmp_path: Path) -> None:
    table = table_of(write(tmp_path, "a,y\n1,2\n,\n3,4\n"), raw=True, drop_missing_targets=True)
    np.testing.assert_array_equal(table.x[:, 0], [1, np.nan, 3])
    assert table.rows.tolist() == [0, 2]


def test_a_fault_names_the_line_where_its_row_begins(tmp_path: Path) -> None:
    message = refusal(write(tmp_path, 'a,b,y\n\n1,2,3\n"4\n\n",5,6\n7,?,9\n8,1,1\n'))
    assert "column 'a'" not in message  # "4" and two line ends are a number
    assert "column 'b', line 7, data row 3: is not a finite number" in message


def test_a_long_cell_is_shortened(tmp_path: Path) -> None:
    message = refusal(write(tmp_path, 'a,y\n1,2\n3,4\n"' + "x\n" * 5000 + '",2\n'))
    assert "column 'a', line 4, data row 3: is not a finite number" in message
    assert len(message) < 600
    assert len(message.splitlines()) <= 5
