"""Tables too large for memory."""

import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mlplab.data.infer.read_table import read_table
from mlplab.data.infer.table_reader import TableReader
from mlplab.data.infer.table_spec import TableSpec
from mlplab.data.io.dialect import CsvOptions
from mlplab.data.io.discovery import opened
from mlplab.data.memmap import TABLES, table_of
from mlplab.data.table import Table
from mlplab.errors import UserError

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


def read(path: Path, memory: float, spec: TableSpec = SPEC) -> Table:
    with opened(path) as source:
        return table_of(source, spec, np.float32, memory, lambda rows: None)


def whole(path: Path) -> Table:
    with opened(path) as source:
        return read_table(TableReader(source, SPEC))


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
    table = read(path, memory=1e3)
    assert table.memmapped
    assert isinstance(table.x, np.memmap)
    assert_same(table, whole(path))
    [folder] = TABLES.iterdir()
    assert (folder / "features").stat().st_size == table.x.nbytes  # without left-out columns


def test_no_file_is_written_if_the_features_are_below_the_limit(path: Path) -> None:
    assert not any(read(path, memory).memmapped for memory in (1e9, 5e5))
    assert not TABLES.exists()


def test_files_are_reused_until_the_source_changes(path: Path) -> None:
    first = read(path, memory=1e3)
    [folder] = TABLES.iterdir()
    made = (folder / "features").stat().st_mtime_ns
    assert_same(read(path, memory=1e3), first)
    assert (folder / "features").stat().st_mtime_ns == made
    assert not read(path, memory=1e9).memmapped  # memory is preferred where there is room
    path.write_text(path.read_text() + "1,x,c0,5,1,g0\n")
    assert len(read(path, memory=1e3).x) == ROWS + 1
    other = read(path, 1e3, TableSpec((("w", "target"),)))
    assert other.schema.targets == ("w",)
    assert len(list(TABLES.iterdir())) == 3


def test_other_content_of_the_same_size_and_time_is_another_table(path: Path) -> None:
    first, before = read(path, memory=1e3), path.stat()
    path.write_text(path.read_text().replace("\n0.001,", "\n9.001,", 1))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert read(path, memory=1e3).x[1, 0] != first.x[1, 0]
    assert_same(read(path, memory=1e3), whole(path))


def test_another_encoding_is_another_table(path: Path) -> None:
    path.write_bytes(path.read_text().replace("c1", "gr\u00fcn").encode("cp1252"))
    for encoding, word in (("cp1251", "gr\u044cn"), ("cp1252", "gr\u00fcn")):
        with opened(path, CsvOptions(encoding=encoding)) as source:
            table = table_of(source, SPEC, np.float32, 1e3, lambda rows: None)
        assert word in table.schema.inputs[1].categories


@pytest.mark.parametrize("damage", ["cut", "description"])
def test_damaged_files_are_written_again(path: Path, damage: str) -> None:
    read(path, memory=1e3)
    [folder] = TABLES.iterdir()
    if damage == "cut":
        os.truncate(folder / "features", 8)
    else:
        os.truncate(folder / "table.json", 50)
    assert_same(read(path, memory=1e3), whole(path))


def test_a_refused_table_leaves_no_files(path: Path) -> None:
    path.write_text(path.read_text() + "1,x,c0,oops,1,g0\n")
    with pytest.raises(UserError, match=rf"line {ROWS + 2}, data row {ROWS + 1}: is a text, not a number"):
        read(path, memory=1e3)
    assert list(TABLES.iterdir()) == []


def test_changes_of_the_matrix_do_not_reach_the_file(path: Path) -> None:
    table = read(path, memory=1e3)
    before = float(table.x[1, 0])
    table.x[1, 0] = 7
    assert read(path, memory=1e3).x[1, 0] == before
