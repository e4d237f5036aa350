from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlplab.data.table import concrete, read_csv
from mlplab.errors import UserError


def write(folder: Path, text: str, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def refusal(path: Path, target: str = "y") -> str:
    with pytest.raises(UserError) as told:
        read_csv(path, target)
    return str(told.value)


def test_the_table_of_the_package() -> None:
    table = concrete()
    assert table.frame.shape == (1030, 9)
    assert table.features[0] == "cement"
    assert table.frame["target"].mean() == pytest.approx(35.818, abs=1e-3)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(st.lists(st.tuples(*[st.floats(allow_nan=False, allow_infinity=False)] * 3), min_size=1, max_size=20))
def test_what_polars_writes_comes_back(tmp_path: Path, rows: list[tuple[float, ...]]) -> None:
    frame = pl.DataFrame(rows, schema=["a", "b", "y"], orient="row")
    frame.write_csv(tmp_path / "t.csv")
    np.testing.assert_array_equal(read_csv(tmp_path / "t.csv", "y").frame.to_numpy(), frame.to_numpy())


def test_a_byte_order_mark_and_quoted_names_are_accepted(tmp_path: Path) -> None:
    assert read_csv(write(tmp_path, '\ufeff"a, b",y\n1,2\n'), "y").features == ["a, b"]


def test_every_fault_of_a_file_is_told(tmp_path: Path) -> None:
    told = refusal(write(tmp_path, "a,b,y\n1,2,3\n4,?,6\n7,8,x\n,?,1\n"))
    assert "column 'a', line 5, data row 4: a value is missing" in told
    assert "column 'b', line 3, data row 2: is not a finite number; 2 such cells" in told
    assert "found '?'" in told
    assert "target column 'y', line 4, data row 3" in told


@pytest.mark.parametrize("cell", ["inf", "-inf", "1e999"])
def test_infinite_values_are_refused(tmp_path: Path, cell: str) -> None:
    assert "is not a finite number" in refusal(write(tmp_path, f"a,y\n{cell},1\n"))


@pytest.mark.parametrize("cell", ["nan", "", "NaN"])
def test_missing_values_are_refused(tmp_path: Path, cell: str) -> None:
    assert "a value is missing" in refusal(write(tmp_path, f"a,y\n{cell},1\n2,3\n"))


def test_lines_of_another_length_are_named(tmp_path: Path) -> None:
    told = refusal(write(tmp_path, "a,b,y\n1,2,3\n1,2\n1,2,3\n" + "1,2,3,4\n" * 5))
    assert "line 3: the line has 2 fields, the header 3" in told
    assert "line 5: the line has 4 fields, the header 3" in told
    assert "and 4 more lines" in told


def test_lines_without_anything_are_no_rows(tmp_path: Path) -> None:
    assert read_csv(write(tmp_path, "a,y\n\n1,2\n\n3,4\n\n"), "y").frame.height == 2


def test_a_fault_is_named_by_the_line_where_its_row_begins(tmp_path: Path) -> None:
    told = refusal(write(tmp_path, 'a,b,y\n\n1,2,3\n"4\n\n",5,6\n7,?,9\n'))
    assert "column 'a', line 4, data row 2: is not" not in told  # "4" and two line ends say a number
    assert "column 'b', line 7, data row 3: is not a finite number" in told


def test_a_quote_that_is_not_closed_is_told(tmp_path: Path) -> None:
    assert "line 3: a quote is not closed" in refusal(write(tmp_path, 'a,y\n1,2\n"3,4\n5,6\n'))


def test_a_long_cell_is_shortened(tmp_path: Path) -> None:
    told = refusal(write(tmp_path, 'a,y\n"' + "x\n" * 5000 + '",2\n'))
    assert len(told) < 600
    assert len(told.splitlines()) <= 5


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"a,y\n1,2\n\xff\xfe,1\n")
    assert "line 3: byte 0xff is not UTF-8 text" in refusal(path)
