import csv
import io
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import file_of, table_of

from mlplab.config import DETECT
from mlplab.data.io.csv_file import CsvFile
from mlplab.data.io.dialect import Dialect
from mlplab.data.io.source import opened
from mlplab.errors import UserError

PLAIN = Dialect(",", '"', ".", True)


def messages(path: Path, dialect: Dialect = PLAIN) -> list[str]:
    try:
        CsvFile("t", path, DETECT, dialect).check_lines()
    except UserError as error:
        return [fault.sentence() for fault in error.faults]
    return []


LINES = [*("a,b,y", "", "1,2,3", "1,2", "1,2,3"), *["1,2,3,4"] * 5, "", " "]


@pytest.mark.parametrize(
    ("text", "dialect", "faults"),
    [
        ("\n".join(LINES), PLAIN, ["t, line 4: the line has 2 fields, but the header has 3; 7 such lines"]),
        ("\ufeff1,2\n1\n", replace(PLAIN, header=False), ["t, line 2: the line has 1 field, but the tab"]),
        ("a,y\nr1,1,2\n\nr2,3\n", replace(PLAIN, short_header=True), ["t, line 4: the line has 2 field"]),
        ("y\n1,2\n", PLAIN, ["t, line 2: the line has 2 fields"]),
        ("y\n1\n\n2\n", PLAIN, []),
        (f'a,y\n"{"x, " * 99_000}",1\n', PLAIN, []),
        (f"a,y\n{'x' * (2**24 + 1)},2,3\n", PLAIN, ["t, line 2: the line has 3 fields"]),  # no open quote
    ],
    ids=range(7),
)
def test_lines_of_other_lengths(tmp_path: Path, text: str, dialect: Dialect, faults: list[str]) -> None:
    found = messages(file_of(tmp_path, text), dialect)
    assert len(found) == len(faults)
    assert all(message.startswith(fault) for message, fault in zip(found, faults, strict=True))


def test_lines_are_counted_once(tmp_path: Path) -> None:
    path = file_of(tmp_path, "a,y\n1,2\n\n3,4\n5,6\n")
    file = CsvFile("t", path, DETECT, None)
    assert file.location(1, "column 'a'") == "t, column 'a', line 4, data row 2"
    path.unlink()  # so it is not read again
    assert file.location(0, "column 'y'") == "t, column 'y', line 2, data row 1"


@pytest.mark.parametrize("row", ['"3,4', '"3"x,4', '3,4"'])
def test_a_quote_that_is_not_closed_is_reported(tmp_path: Path, row: str) -> None:
    path = file_of(tmp_path, f"a,y\n\n1,2\n{row}\n5,6\n7,8\n")
    (sentence,) = messages(path)
    assert sentence.startswith("t, line 4: a quote is not closed properly (")
    with pytest.raises(UserError, match="line 4: a quote is not closed"):  # explains an error of polars
        table_of(path)
    assert messages(path, replace(PLAIN, quote=None)) == []


FIELDS = st.lists(st.text('ab1 ,"\n', max_size=4), min_size=2, max_size=2)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.none() | FIELDS, max_size=8), st.sampled_from(["\n", "\r\n"]), st.booleans())
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
    dialect = replace(PLAIN, header=header)
    path = file_of(tmp_path, text.getvalue())
    file = CsvFile("t", path, DETECT, dialect)
    assert [line for line, fields in file.records() if fields] == begin
    assert file.blank_rows.tolist() == blank
    assert messages(path, dialect) == []
    frame = pl.read_csv(path, schema={"a": pl.String, "y": pl.String}, has_header=header)
    assert frame.height == len(begin) + len(blank)  # polars reads a blank line as a row
    assert all(frame.row(position) == (None, None) for position in blank)


def test_a_long_header_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    path = file_of(tmp_path, b"a" * 2**20 + b"\xff,b\n1,2\n")
    with pytest.raises(UserError, match="line 1: byte 0xff is not UTF-8 text"), opened(path):
        pass
