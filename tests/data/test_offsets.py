"""Offsets keep the digits of numbers far from 0, and are by rows outside test."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import SMALL, resolved

from mlplab.data.cache import DataCache
from mlplab.data.offsets import FAR, offset_of

ROWS = 300


@given(
    st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=60), st.floats(-1e12, 1e12), st.floats(1e-6, 1e6)
)
def test_no_column_is_far_from_0_without_its_offset(drawn: list[float], middle: float, scale: float) -> None:
    values = middle + scale * np.array(drawn) / 1e12
    low, median, high = np.quantile(values, (0.25, 0.5, 0.75))
    assert abs(median - offset_of(values)) <= FAR * (high - low or np.ptp(values))


def test_the_offset_is_coarse() -> None:
    """So other rows of a column have the same."""
    draw = np.random.default_rng(0)
    assert offset_of(draw.normal(2005, 9, 1000)) == 0
    latitudes = draw.normal(52.6, 0.03, (50, 1000))
    assert len({offset_of(rows) for rows in latitudes}) == 1
    assert offset_of(np.array([np.nan, np.inf])) == 0
    assert offset_of(np.full(9, 7e8)) == 7e8


@pytest.mark.parametrize("are_far", [True, False])
def test_rows_outside_test_decide(here: Path, caplog: pytest.LogCaptureFixture, *, are_far: bool) -> None:
    """Most rows are of test, and seem to need another offset."""
    is_test, near = np.arange(ROWS) % 3 < 2, np.random.default_rng(0).normal(size=ROWS)
    values = np.where(is_test == are_far, near, 1e9 + near)
    names = [f"row {row}" for row in range(ROWS)]
    pl.DataFrame({"a": values, "b": near, "name": names, "y": near**2}).write_csv("t.csv")
    Path("split.txt").write_text("\n".join(np.where(is_test, "test", "train")))
    words = ("data=csv", "data.path=t.csv", "data.target=y", "data/split=file", "data.split.path=split.txt")
    cache = DataCache()
    run = resolved(*words, *SMALL[2:], cache=cache)
    table = cache.data(run).table
    assert {*table.schema.column_offsets} == ({"a"} if are_far else set())
    rows = ~is_test
    in_units = table.x[rows, 0].astype(np.float64) + table.schema.offsets[0]
    np.testing.assert_allclose(in_units, values[rows], atol=1e-6 if not are_far else 1e-5)
    assert caplog.text.count("leaving out column 'name'") == 1
    raw = resolved(*words, *SMALL[2:], "model/preprocessing=none", cache=cache)
    assert cache.data(raw).table.schema.column_offsets == {}
