import datetime
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from mlplab.data.frames import to_polars
from mlplab.errors import UserError

DAY = datetime.datetime(2024, 2, 29, 12)
COLUMNS: dict[str, list[Any]] = {"float": [1.5, None], "text": ["a", None], "boolean": [True, False]}
COLUMNS |= {"whole": [1, 2], "date": [DAY, None]}
FRAME = pl.DataFrame(COLUMNS)
ARROW = SimpleNamespace(__arrow_c_stream__=FRAME.__arrow_c_stream__)


@pytest.mark.parametrize("frame", [FRAME, FRAME.lazy(), COLUMNS, ARROW, pd.DataFrame(COLUMNS)])
def test_all_kinds_of_frames_are_equal(frame: object) -> None:
    assert to_polars(frame).cast({"date": pl.Datetime("us")}).equals(FRAME)


def test_pandas_own_types_and_missing_values() -> None:
    columns = {
        "whole": pd.array([1, None], "Int64"),
        "text": pd.array(["a", None], "string"),
        "category": pd.Categorical(["b", None]),
        "zone": pd.to_datetime(["2024-01-01T00:00Z", None]),
        "object": pd.Series(["a", np.nan], dtype=object),
    }
    found = to_polars(frame := pd.DataFrame(columns))
    assert found.row(0)[:3] == (1, "a", "b")
    assert found.row(1) == (None,) * 5
    of_arrays = {name: frame[name].array for name in frame} | {"object": np.array(["a", pd.NA], object)}
    assert to_polars(of_arrays).equals(found)
    assert to_polars(pd.DataFrame({0: ["x", 1, 2.5, None]}))["0"].to_list() == ["x", "1", "2.5", None]


def test_numbers_and_dates_of_numpy() -> None:
    days = np.array(["2024-02-29", "NaT"], "M8[D]")
    for unit in ("s", "h", "ms", "ns"):
        found = to_polars({"a": days.astype(f"M8[{unit}]")})["a"]
        assert found.to_list() == [datetime.datetime(2024, 2, 29), None]
    for dtype in ("f2", "f4", ">f8", "g"):
        assert to_polars({"a": np.array([0.5, np.nan], dtype)})["a"].to_list() == [0.5, None]


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (3, "is not a table, but of type int"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "has several columns 'a'"),
        ({1: [1], "1": [1]}, "has several columns '1'"),
        ({"a": [1, 2], "b": [1]}, "the same number of values"),
    ],
)
def test_what_is_no_table_is_explained(frame: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        to_polars(frame)


def test_an_index_that_may_matter_is_mentioned(caplog: pytest.LogCaptureFixture) -> None:
    to_polars(pd.DataFrame({"a": [1, 2, 3]})[1:])
    to_polars(pd.DataFrame({"a": []}))
    assert not caplog.text
    to_polars(pd.DataFrame({"a": [1, 2]}, index=pd.to_datetime(["2024-01-01", "2024-01-02"])))
    assert "its index (datetime64) is not used; to use it as a column: frame.reset_index()" in caplog.text
    to_polars(pd.DataFrame({"a": [1, 2]}).set_index(pd.Index([3, 4], name="id")))
    assert "its index ('id') is not used" in caplog.text
