"""Any table that can be written comes back from a file: its rows, in their order."""

from datetime import date, datetime, time
from pathlib import Path

import numpy as np
import polars as pl
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support import table_of

from mlplab.data.io.discovery import opened
from mlplab.data.new_data import FrameTransformer

PRINTED = st.characters(codec="utf-8", exclude_characters="\0")
ONE_LINE = st.characters(codec="utf-8", categories=["L", "M", "N", "P", "S", "Zs"])
NAMES = st.text(ONE_LINE, min_size=1, max_size=8).map(str.strip)
ODD_NAMES = st.sampled_from(["^x.*$", "*", "x.y", 'a "b"', "a,b", "1", "'q'", "ключ", "=1+1"])
TEXTS = st.text(PRINTED, max_size=8) | st.sampled_from(['"', 'say "no"', "two\nlines", ",", ";", " ", "=1+1"])
DAYS = st.dates(date(1900, 1, 1), date(2100, 1, 1))
MOMENTS = st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1))
NUMBERS = st.integers(-(10**9), 10**9).map(lambda value: value / 8)
CELLS: dict[type[pl.DataType], st.SearchStrategy[object]] = {
    pl.Float64: NUMBERS,
    pl.Int64: st.integers(-(10**15), 10**15),
    pl.Boolean: st.booleans(),
    pl.String: TEXTS,
    pl.Categorical: TEXTS,
    pl.Date: DAYS,
    pl.Datetime: MOMENTS,
}


@st.composite
def frames(draw: st.DrawFn) -> pl.DataFrame:
    """Columns of all kinds, with nulls, beside a number a row and the target."""
    height = draw(st.integers(2, 12))
    own = {"row", "y"}
    names = draw(
        st.lists((NAMES | ODD_NAMES).filter(lambda name: name and name not in own), unique=True, max_size=5)
    )
    columns = [pl.Series("row", range(height), dtype=pl.Int64)]
    for name in names:
        kind = draw(st.sampled_from(list(CELLS)))
        cells = draw(st.lists(st.none() | CELLS[kind], min_size=height, max_size=height))
        columns.append(pl.Series(name, cells, dtype=kind))
    return pl.DataFrame([*columns, pl.Series("y", range(height), dtype=pl.Float64)])


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    max_examples=5,
    phases=[Phase.explicit, Phase.generate],  # to make an example smaller takes minutes
)
@given(frames())
def test_tables_that_polars_writes_come_back(tmp_path: Path, frame: pl.DataFrame) -> None:
    """Texts are categories, even if there are as many as rows, and the rows' numbers are an input."""
    frame.write_csv(tmp_path / "t.csv")
    frame.write_parquet(tmp_path / "t.parquet")
    texts = (name for name, kind in frame.schema.items() if kind in (pl.String, pl.Categorical))
    declared = {"row": "numeric", **dict.fromkeys(texts, "categorical")}
    whole = table_of(frame, declared=declared)
    new = FrameTransformer(whole.schema, "t", np.float32, decimal_comma=False)
    for path in (tmp_path / "t.csv", tmp_path / "t.parquet"):
        table = table_of(path, declared=declared)
        np.testing.assert_array_equal(table.x, whole.x)
        assert table.fingerprint == whole.fingerprint
        with opened(path) as source:
            rows = source.rows.collect()
        for start, stop in ((0, 1), (1, frame.height)):
            np.testing.assert_array_equal(new.features(rows[start:stop]), whole.x[start:stop])
    order = whole.x[:, whole.schema.names.index("row")] + whole.schema.inputs[0].offset
    assert order.tolist() == frame["row"].to_list()


def test_times_of_day_are_read_as_their_texts(tmp_path: Path) -> None:
    frame = pl.DataFrame({"a": [*(time(hour, 5 * hour, 7) for hour in range(12)), None], "y": range(13)})
    frame.write_parquet(tmp_path / "t.parquet")
    texts = table_of(frame.cast({"a": pl.String}))
    assert [column.kind for column in texts.schema.inputs] == ["date"]
    for table in (table_of(frame), table_of(tmp_path / "t.parquet")):
        assert table.schema == texts.schema
        np.testing.assert_array_equal(table.x, texts.x)
    transformer = FrameTransformer(texts.schema, "t", np.float32, decimal_comma=False)
    np.testing.assert_array_equal(transformer.features(frame), texts.x)
