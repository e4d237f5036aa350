import csv
import io
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlplab.data.io.csv_lines import blank_rows, line_faults, row_lines
from mlplab.data.io.csv_source import CsvSource
from mlplab.data.io.dialect import CsvOptions, Dialect

PLAIN = Dialect(",", '"', ".", True)
BARE = Dialect(",", None, ".", True)


def write(folder: Path, text: str) -> Path:
    path = folder / "t.csv"
    path.write_bytes(text.encode())
    return path


def messages(folder: Path, text: str, width: int, dialect: Dialect = PLAIN) -> list[str]:
    return [fault.sentence() for fault in line_faults(write(folder, text), dialect, width, "t")]


@pytest.mark.parametrize("quote", ["", '"'])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lines_with_another_number_of_fields_are_named(tmp_path: Path, quote: str, end: str) -> None:
    lines = [f"{quote}a{quote},b,y", "", "1,2,3", "1,2", f"1,{quote}2{quote},3", *["1,2,3,4"] * 5, "", " "]
    assert messages(tmp_path, end.join(lines), 3) == [
        "t, line 4: the line has 2 fields, but the header has 3",
        "t, line 6: the line has 4 fields, but the header has 3",
        "t, line 7: the line has 4 fields, but the header has 3",
        "t: and 4 more lines with a different number of fields than the header",
    ]


def test_without_a_header_the_first_line_sets_the_number_of_fields(tmp_path: Path) -> None:
    dialect = Dialect(";", '"', ",", False)
    assert messages(tmp_path, "\ufeff1;2\n1\n", 2, dialect) == [
        "t, line 2: the line has 1 field, but the first line has 2"
    ]


def test_lines_are_counted_below_a_short_header(tmp_path: Path) -> None:
    dialect = Dialect(",", '"', ".", True, short_header=True)
    assert messages(tmp_path, "a,y\nr1,1,2\n\nr2,3\n", 3, dialect) == [
        "t, line 4: the line has 2 fields, but the first line below the header has 3"
    ]
    path = write(tmp_path, "y\nr1,1\n\nr2,2\n")
    assert list(row_lines(path, dialect, 2)) == [2, 4]
    assert blank_rows(path, dialect, 2) == [1]


@pytest.mark.parametrize("text", ["a,y\n1,2\n\n,\n", "a,y\r\n\r\n1,2", 'a,y\n"1\n\n,""",2\n', "a,y", ""])
def test_a_good_file_has_no_faults(tmp_path: Path, text: str) -> None:
    assert messages(tmp_path, text, 2) == []


def test_a_blank_line_of_one_column_is_a_row(tmp_path: Path) -> None:
    assert messages(tmp_path, "y\n1,2\n", 1) == ["t, line 2: the line has 2 fields, but the header has 1"]
    assert messages(tmp_path, "y\n1\n\n2\n", 1) == []
    path = tmp_path / "t.csv"
    assert blank_rows(path, PLAIN, 1) == []
    assert list(row_lines(path, PLAIN, 1)) == [2, 3, 4]


def test_lines_are_counted_once(tmp_path: Path) -> None:
    path = write(tmp_path, "a,y\n1,2\n\n3,4\n5,6\n")
    source = CsvSource(path, path, CsvOptions(), "t")
    assert source.location(1, "column 'a'") == "t, column 'a', line 4, data row 2"
    path.unlink()  # so it is not read again
    assert source.location(0, "column 'y'") == "t, column 'y', line 2, data row 1"


def test_long_cells_are_read(tmp_path: Path) -> None:
    path = write(tmp_path, f'a,y\n"{"x, " * 100_000}",1\n\n2,3\n')
    assert line_faults(path, PLAIN, 2, "t") == []
    assert blank_rows(path, PLAIN, 2) == [1]
    assert list(row_lines(path, PLAIN, 2)) == [2, 4]


@pytest.mark.parametrize("row", ['"3,4', '5" pipe,4', '"3"x,4', '3,4"'])
def test_a_quote_that_is_not_closed_is_reported(tmp_path: Path, row: str) -> None:
    text = f"a,y\n\n1,2\n{row}\n5,6\n7,8\n"
    (sentence,) = messages(tmp_path, text, 2)
    assert sentence.startswith("t, line 4: a quote is not closed properly (")
    with pytest.raises(pl.exceptions.PolarsError):  # the error to explain
        pl.read_csv(tmp_path / "t.csv", schema={"a": pl.String, "y": pl.String})
    assert messages(tmp_path, text, 2, BARE) == []


def test_bytes_that_are_not_text_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"a,y\n1\n\xff,\0\n")
    faults = line_faults(path, PLAIN, 2, "t")
    assert [fault.where for fault in faults] == ["t, line 3"] * 2


FIELDS = st.text('ab1 ,"\n', max_size=4)
RECORDS = st.lists(st.one_of(st.none(), st.lists(FIELDS, min_size=2, max_size=2)), max_size=8)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(RECORDS, st.sampled_from(["\n", "\r\n"]), st.booleans(), st.booleans())
def test_rows_and_blank_lines_are_where_they_were_written(
    tmp_path: Path, records: list[list[str] | None], end: str, header: bool, quotes: bool
) -> None:
    begin, blank, text = [], [], io.StringIO(newline="")
    writer = csv.writer(text, lineterminator=end)
    writer.writerow(["a", "y"])
    for position, record in enumerate(records, 0 if header else 1):
        if record is None:
            blank.append(position)
            text.write(end)
            continue
        begin.append(text.getvalue().count("\n") + 1)
        writer.writerow(record if quotes else [field.translate(dict.fromkeys(b'\n,"')) for field in record])
    dialect = Dialect(",", '"', ".", header)
    path = write(tmp_path, text.getvalue())
    begin = begin if header else [1, *begin]
    assert list(row_lines(path, dialect, 2)) == begin
    assert blank_rows(path, dialect, 2) == blank
    assert line_faults(path, dialect, 2, "t") == []
    schema = {"a": pl.String, "y": pl.String}
    frame = pl.read_csv(path, schema=schema, has_header=header)
    assert frame.height == len(begin) + len(blank)  # polars reads a blank line as a row
    assert all(frame.row(position) == (None, None) for position in blank)
