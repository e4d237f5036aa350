import csv
import io

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlplab.data.io.csv_writer import escape_formula, write_csv

CELLS = st.lists(st.none() | st.text('ab1.-=@ ,"\n\r', max_size=4), min_size=1, max_size=8)


def written(*frames: pl.DataFrame, escape_formulas: bool = False) -> str:
    content = io.BytesIO()
    write_csv(((frame, ()) for frame in frames), content.write, escape_formulas=escape_formulas)
    return content.getvalue().decode()


@given(CELLS, CELLS)
def test_text_is_read_as_it_was(first: list[str | None], second: list[str | None]) -> None:
    frames = [
        pl.DataFrame({"a,b": cells, "y": 1.5}, {"a,b": pl.String, "y": pl.Float64})
        for cells in (first, second)
    ]
    read = pl.read_csv(written(*frames).encode(), schema_overrides={"a,b": pl.String})
    assert read.equals(pl.concat(frames))


@given(CELLS)
def test_text_that_a_spreadsheet_would_run_is_escaped_on_request(cells: list[str | None]) -> None:
    frame = pl.DataFrame({"=a": cells, "y": 1}, {"=a": pl.String, "y": pl.Int64})
    rows = list(csv.reader(io.StringIO(written(frame, escape_formulas=True), newline="")))
    assert rows[0] == ["'=a", "y"]
    assert [row[0] for row in rows[1:]] == [escape_formula(cell or "") for cell in cells]


def test_quotes_stand_only_where_they_must() -> None:
    frame = pl.DataFrame({"a": ["1.50", "x"], "b": ["", None]})
    assert written(frame) == 'a,b\n1.50,""\nx,\n'
    assert written(frame.select("a")) == "a\n1.50\nx\n"


@pytest.mark.parametrize("dtype", [pl.Categorical, pl.Enum(["=1", "b,c"])], ids=str)
def test_categories_are_text(dtype: pl.DataType) -> None:
    frame = pl.DataFrame({"a": pl.Series(["=1", "b,c"], dtype=dtype)})
    assert written(frame, escape_formulas=True) == 'a\n\'=1\n"b,c"\n'
