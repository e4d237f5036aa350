import csv
import io

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlplab.data.io.csv_writer import write_csv

CELLS = st.lists(st.none() | st.text('ab1.-=@ ,"\n\r', max_size=4), min_size=1, max_size=8)
FORMULAS = ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(1+9)", "\t=1+1", "\r=1+1", " =1+1", "＝1+1", "-1e5x"]
NO_FORMULAS = ["-5", "+3.25", "-1,5", "1.234,56", "-2e-7", "-", "+", "a=b", "x@y", "", "-inf", "-3%"]


def written(*frames: pl.DataFrame, escape_formulas: bool = False) -> str:
    content = io.BytesIO()
    write_csv(((frame, ()) for frame in frames), content.write, escape_formulas=escape_formulas)
    return content.getvalue().decode()


@given(CELLS, CELLS)
def test_text_is_read_as_it_was(first: list[str | None], second: list[str | None]) -> None:
    frames = [pl.DataFrame({"a,b": pl.Series(cells, dtype=pl.String), "y": 1.5}) for cells in (first, second)]
    read = pl.read_csv(written(*frames).encode(), schema_overrides={"a,b": pl.String})
    assert read.equals(pl.concat(frames))


@pytest.mark.parametrize("dtype", [pl.String, pl.Categorical, pl.Enum(FORMULAS + NO_FORMULAS)], ids=str)
def test_text_that_a_spreadsheet_would_run_is_escaped_on_request(dtype: pl.DataType) -> None:
    frame = pl.DataFrame({"=a": pl.Series(FORMULAS + NO_FORMULAS, dtype=dtype), "y": -1})
    for escape, sign in ((True, "'"), (False, "")):
        rows = csv.reader(io.StringIO(written(frame, escape_formulas=escape), newline=""))
        assert [row[0] for row in rows] == [*(sign + cell for cell in ("=a", *FORMULAS)), *NO_FORMULAS]


def test_quotes_stand_only_where_they_must() -> None:
    frame = pl.DataFrame({"a": ["1.50", "x"], "b": ["", None]})
    assert written(frame) == 'a,b\n1.50,""\nx,\n'
    assert written(frame.select("a")) == "a\n1.50\nx\n"
