"""Tables of the package, and tables too large for memory."""

from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import polars.selectors as cs
import pytest
from support import config

from mlplab.data import load_table
from mlplab.data.infer.read_table import read_table
from mlplab.data.infer.table_reader import TableReader
from mlplab.data.infer.table_spec import TableSpec
from mlplab.data.io.discovery import opened
from mlplab.data.load_table import FOLDER, TARGET, allocated, opened_source
from mlplab.data.table import Table
from mlplab.errors import UserError


def test_digits_are_images_of_pixels() -> None:
    frame = _frame("digits")
    assert frame.shape == (1797, 65)
    assert frame.columns == [*(f"pixel_{row}_{column}" for row in range(8) for column in range(8)), TARGET]
    assert frame[TARGET].unique().sort().to_list() == list(range(10))
    pixels = frame.drop(TARGET).to_numpy()
    assert (pixels.min(), pixels.max()) == (0, 16)
    assert (pixels == pixels.round()).all()


def test_penguins_have_gaps() -> None:
    frame = _frame("penguins")
    assert frame.shape == (344, 8)
    assert dict(frame[TARGET].value_counts().iter_rows()) == {"Adelie": 152, "Chinstrap": 68, "Gentoo": 124}
    measures = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]
    gaps = {**dict.fromkeys(measures, 2), "sex": 11}
    assert {name: count for name, count in frame.null_count().row(0, named=True).items() if count} == gaps
    assert frame["body_mass_g"].cast(pl.Float64).mean() == 1437000 / 342


def _frame(name: str) -> pl.DataFrame:
    with opened_source(config(f"data={name}").data) as source:
        return source.rows.collect().with_columns(cs.string().replace("NA", None))


SPEC = TableSpec((("y", "target"), ("w", "weight"), ("g", "group")))
ROWS = 40_000  # more than a block


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    number = np.arange(ROWS)
    frame = pl.DataFrame(
        {
            "a": number * 1e-3,
            "same": ["x"] * ROWS,
            "c": [f"c{each % 7}" for each in number],
            "y": number % 101,
            "w": 1 + number % 3,
            "g": [f"g{each % 5}" for each in number],
        }
    )
    frame = frame.with_columns(a=pl.when(pl.int_range(pl.len()) % 10 > 0).then("a"))
    frame.write_csv("t.csv")
    return Path("t.csv")


def read(path: Path, limit: float | None = None) -> Table:
    with opened(path) as source:
        return read_table(TableReader(source, SPEC, allocate=partial(allocated, limit=limit)))


def assert_same(one: Table, other: Table) -> None:
    np.testing.assert_array_equal(one.x, other.x)
    np.testing.assert_array_equal(one.y, other.y)
    assert one.weight is not None
    assert other.weight is not None
    np.testing.assert_array_equal(one.weight, other.weight)
    assert one.split_columns.keys() == other.split_columns.keys()
    for role, values in one.split_columns.items():
        np.testing.assert_array_equal(values, other.split_columns[role])
    assert one.schema == other.schema
    assert one.fingerprint == other.fingerprint


def test_a_memmapped_table_equals_one_in_memory(path: Path) -> None:
    table = read(path, limit=1e3)
    assert table.memmapped
    assert_same(table, read(path))
    assert list(FOLDER.iterdir()) == []  # the file has no name


def test_no_file_is_written_if_the_features_are_below_the_limit(path: Path) -> None:
    assert not any(read(path, limit).memmapped for limit in (None, 1e9, 5e5))
    assert not FOLDER.exists() or list(FOLDER.iterdir()) == []


def test_the_limit_is_by_default_a_share_of_the_free_memory(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load_table, "free_memory", lambda: 1000)
    assert read(path).memmapped


def test_a_refused_table_leaves_no_files(path: Path) -> None:
    path.write_text(path.read_text() + "1,x,c0,oops,1,g0\n")
    with pytest.raises(UserError, match=rf"line {ROWS + 2}, data row {ROWS + 1}: is a text, not a number"):
        read(path, limit=1e3)
    assert list(FOLDER.iterdir()) == []
