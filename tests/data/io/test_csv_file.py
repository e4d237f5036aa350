import csv
import io
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlplab.config import DETECT
from mlplab.data.io.csv_file import CsvFile
from mlplab.data.io.dialect import Dialect
from mlplab.errors import UserError

PLAIN = Dialect(",", '"', ".", True)


def write(folder: Path, text: str) -> Path:
    path = folder / "t.csv"
    path.write_bytes(text.encode())
    return path


def messages(path: Path, width: int, dialect: Dialect = PLAIN) -> list[str]:
    file = CsvFile("t", path, DETECT, dialect)
    assert len(file.schema) == width
    try:
        file.check_lines()
    except UserError as error:
        return [fault.sentence() for fault in error.faults]
    return []


def lines_and_blank_rows(path: Path, dialect: Dialect) -> tuple[list[int], list[int]]:
    """The lines on which rows begin, and the rows that are blank lines."""
    file = CsvFile("t", path, DETECT, dialect)
    return [line for line, fields in file.records() if fields], file.blank_rows.tolist()


@pytest.mark.parametrize(("quote", "end"), [("", "\n"), ('"', "\r\n")])
def test_lines_with_a_wrong_number_of_fields_are_named(tmp_path: Path, quote: str, end: str) -> None:
    lines = [f"{quote}a{quote},b,y", "", "1,2,3", "1,2", f"1,{quote}2{quote},3", *["1,2,3,4"] * 5, "", " "]
    assert messages(write(tmp_path, end.join(lines)), 3) == [
        "t, line 4: the line has 2 fields, but the header has 3; 7 such lines",
    ]


@pytest.mark.parametrize(
    ("text", "width", "dialect", "faults"),
    [
        (
            "\ufeff1,2\n1\n",
            2,
            Dialect(",", '"', ".", False),
            ["t, line 2: the line has 1 field, but the tab"],
        ),
        ("a,y\nr1,1,2\n\nr2,3\n", 3, Dialect(",", '"', ".", True, True), ["t, line 4: the line has 2 field"]),
        ("y\n1,2\n", 1, PLAIN, ["t, line 2: the line has 2 fields"]),
        ("y\n1\n\n2\n", 1, PLAIN, []),
        ("a,y\r\n\r\n1,2", 2, PLAIN, []),
        ('a,y\n"1\n\n,""",2\n', 2, PLAIN, []),
        (f'a,y\n"{"x, " * 99_000}",1\n', 2, PLAIN, []),
    ],
    ids=["no header", "row names", "one column", "blank in one column", "blank", "quoted", "long cell"],
)
def test_lines_are_counted_from_the_first(
    tmp_path: Path, text: str, width: int, dialect: Dialect, faults: list[str]
) -> None:
    found = messages(write(tmp_path, text), width, dialect)
    assert len(found) == len(faults)
    assert all(message.startswith(fault) for message, fault in zip(found, faults, strict=True))


def test_lines_are_counted_once(tmp_path: Path) -> None:
    path = write(tmp_path, "a,y\n1,2\n\n3,4\n5,6\n")
    file = CsvFile("t", path, DETECT, None)
    assert file.location(1, "column 'a'") == "t, column 'a', line 4, data row 2"
    path.unlink()  # so it is not read again
    assert file.location(0, "column 'y'") == "t, column 'y', line 2, data row 1"


@pytest.mark.parametrize("row", ['"3,4', '5" pipe,4', '"3"x,4', '3,4"'])
def test_a_quote_that_is_not_closed_is_reported(tmp_path: Path, row: str) -> None:
    path = write(tmp_path, f"a,y\n\n1,2\n{row}\n5,6\n7,8\n")
    (sentence,) = messages(path, 2)
    assert sentence.startswith("t, line 4: a quote is not closed properly (")
    with pytest.raises(pl.exceptions.PolarsError):  # the error to explain
        pl.read_csv(path, schema={"a": pl.String, "y": pl.String})
    assert messages(path, 2, Dialect(",", None, ".", True)) == []


def test_a_cell_of_millions_of_characters_is_no_open_quote(tmp_path: Path) -> None:
    path = write(tmp_path, f"a,y\n{'x' * (2**24 + 1)},2,3\n")
    assert messages(path, 2) == ["t, line 2: the line has 3 fields, but the header has 2"]


FIELDS = st.text('ab1 ,"\n', max_size=4)
RECORDS = st.lists(st.one_of(st.none(), st.lists(FIELDS, min_size=2, max_size=2)), max_size=8)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(RECORDS, st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_rows_and_blank_lines_are_where_they_were_written(
    tmp_path: Path, records: list[list[str] | None], end: str, header: bool
) -> None:
    begin, blank, text = [] if header else [1], [], io.StringIO(newline="")
    writer = csv.writer(text, lineterminator=end)
    writer.writerow(["a", "y"])
    for position, record in enumerate(records, 0 if header else 1):
        if record is None:
            blank.append(position)
            text.write(end)
        else:
            begin.append(text.getvalue().count("\n") + 1)
            writer.writerow(record)
    dialect = Dialect(",", '"', ".", header)
    path = write(tmp_path, text.getvalue())
    assert lines_and_blank_rows(path, dialect) == (begin, blank)
    assert messages(path, 2, dialect) == []
    frame = pl.read_csv(path, schema={"a": pl.String, "y": pl.String}, has_header=header)
    assert frame.height == len(begin) + len(blank)  # polars reads a blank line as a row
    assert all(frame.row(position) == (None, None) for position in blank)
