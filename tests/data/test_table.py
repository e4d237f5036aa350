import gzip
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from commands.mistakes import message_of
from support import CONCRETE, config, file_of, table_of

from mlplab.data import load_table
from mlplab.data.infer.block_reader import TableReader
from mlplab.data.infer.infer_table import read_table
from mlplab.data.infer.table_spec import TableSpec
from mlplab.data.io.source import opened
from mlplab.data.load_table import FOLDER, TARGET, allocated, opened_source
from mlplab.data.new_rows import FrameTransformer
from mlplab.data.table import Table
from mlplab.errors import UserError

COLUMNS = {
    "number": [i / 8 for i in range(40)],
    "whole": [None if i % 9 == 4 else 10**11 + i for i in range(40)],
    "truth": [None if i % 7 == 3 else i % 2 == 0 for i in range(40)],
    "colour": [None if i % 8 == 5 else ["red", 'a "b", c', "two\nlines", "é"][i % 4] for i in range(40)],
    "day": [datetime(2024, 1, 31).date() + timedelta(days=11 * i) for i in range(40)],
    "moment": [datetime(2024, 1, 31) + timedelta(hours=7.25 * i) for i in range(40)],
    "^.*$": [None if i % 9 == 5 else ["=1+1", '"', "*"][i % 3] for i in range(40)],
    'x.y, "größe"': [None if i % 9 == 2 else (-1) ** i * i / 8 for i in range(40)],
    "w": [1.0 + i % 3 for i in range(40)],
    "y": [float(i) ** 1.5 for i in range(40)],
}
FRAME = pl.DataFrame(COLUMNS, schema_overrides={"^.*$": pl.Categorical})


def test_csv_parquet_and_a_frame_are_the_same_table(tmp_path: Path) -> None:
    FRAME.write_csv(tmp_path / "t.csv")
    FRAME.write_csv(tmp_path / "tabs.tsv", separator="\t", line_terminator="\r\n")
    FRAME.write_csv(tmp_path / "comma.csv", separator=";", decimal_comma=True)
    FRAME.write_parquet(tmp_path / "t.parquet")
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress((tmp_path / "t.csv").read_bytes()))
    (tmp_path / "utf16.csv").write_text((tmp_path / "t.csv").read_text("utf-8"), encoding="utf-16")
    frame = table_of(FRAME, weight="w")
    for path in [*tmp_path.iterdir()]:
        table = table_of(path, weight="w")
        np.testing.assert_array_equal(table.x, frame.x, path.name)
        assert table.fingerprint == frame.fingerprint, path.name
        assert table.schema.category_counts == frame.schema.category_counts
        with opened(path) as source:  # new rows have the same features, in blocks
            rows, comma = source.rows.collect(), source.decimal_comma
        new = FrameTransformer(frame.schema, "t", np.float32, decimal_comma=comma)
        for part in (slice(0, 1), slice(1, 40)):
            np.testing.assert_array_equal(new.features(rows[part]), frame.x[part])
    assert frame.schema.names == FRAME.columns[:-2]
    assert frame.weight.tolist() == FRAME["w"].to_list()


def test_a_fingerprint_depends_on_names_values_and_weights() -> None:
    others = [FRAME.with_columns(pl.col(name) ** 2) for name in ("number", "y", "w")]
    frames = [FRAME, FRAME.rename({"number": "n"}), *others]
    found = [table_of(frame, weight="w").fingerprint for frame in frames]
    found.append(table_of(FRAME.drop("w")).fingerprint)
    assert len({*map(str, found)}) == 6
    assert found[0]["rows"] == 40


@pytest.mark.parametrize("how", ["", "part-*.csv", "parquet"])
def test_several_files_are_one_table(tmp_path: Path, how: str) -> None:
    for start in range(0, 40, 15):
        part = FRAME[start : start + 15]
        write = part.write_parquet if how == "parquet" else part.write_csv
        write(tmp_path / f"part-{start:02}.{'parquet' if how == 'parquet' else 'csv'}")
    path = tmp_path / how if "*" in how else tmp_path
    assert table_of(path, weight="w").fingerprint == table_of(FRAME, weight="w").fingerprint


@pytest.mark.parametrize("header", [",a,y", '"","a","y"'])
def test_a_row_index_changes_nothing(tmp_path: Path, header: str) -> None:
    plain = table_of(file_of(tmp_path, "a,y\n" + "".join(f"{i},{i * i}\n" for i in range(5))))
    for part, rows in enumerate((range(3), range(3, 5)), 1):
        file_of(tmp_path, "\n".join([header, *[f'"row {i}",{i},{i * i}' for i in rows]]), f"part-{part}.csv")
    indexed = table_of(tmp_path / "part-*.csv")
    assert indexed.fingerprint == plain.fingerprint
    assert list(indexed.schema.left_out) == [""]
    file_of(tmp_path, f'{header}\n"r\n0",0,1\nr1,1,1\n\nr2,x,3\n', "part-2.csv")
    message = message_of(lambda: table_of(tmp_path / "part-*.csv"))
    assert "part-2.csv, column 'a', line 6, data row 3" in message  # the line where its row begins


def test_blank_lines_are_no_rows_and_lines_of_delimiters_are(tmp_path: Path) -> None:
    table = table_of(file_of(tmp_path, "a,y\n\n1,2\n\n,\n3,4\n\n"), raw=True, drop_missing_targets=True)
    np.testing.assert_array_equal(table.x[:, 0], [1, np.nan, 3])
    assert table.rows.tolist() == [0, 2]


def test_rows_without_a_target_are_refused_or_belong_to_no_part() -> None:
    frame = pl.DataFrame({"a": range(5), "y": [1, None, 3, 4, 5], "z": [1.0, 2, None, 4, float("nan")]})
    message = message_of(lambda: table_of(frame, ["y", "z"]))
    assert "target column 'y', data row 2: a value is missing" in message
    assert "target column 'z', data row 3: a value is missing; 2 such rows" in message
    assert table_of(frame, ["y", "z"], drop_missing_targets=True).rows.tolist() == [0, 3]


def test_tables_of_the_package() -> None:
    table = table_of(CONCRETE, TARGET, dtype=np.float64, raw=True)
    np.testing.assert_array_equal(np.hstack([table.x, table.y]), pl.read_csv(CONCRETE).to_numpy())
    for name, shape, classes in (("digits", (1797, 65), 10), ("penguins", (344, 8), 3)):
        with opened_source(config(f"data={name}").data) as source:
            frame = source.rows.collect()
        assert (frame.shape, frame[TARGET].n_unique()) == (shape, classes)


SPEC = TableSpec((("y", "target"), ("w", "weight"), ("g", "group")))
ROWS = 40_000  # more than a block


@pytest.fixture
def path(here: Path) -> Path:
    n = np.arange(ROWS)
    c, g = ([f"{letter}{each % 7}" for each in n] for letter in "cg")
    columns = {"a": np.where(n % 10 > 0, n * 1e-3, np.nan), "same": ["x"] * ROWS, "c": c}
    pl.DataFrame({**columns, "y": n % 101, "w": 1 + n % 3, "g": g}).fill_nan(None).write_csv("t.csv")
    return here / "t.csv"


def read(path: Path, limit: float | None = None) -> Table:
    with opened(path) as source:
        return read_table(TableReader(source, SPEC, allocate=partial(allocated, limit=limit)))


def test_a_memmapped_table_equals_one_in_memory(path: Path) -> None:
    in_memory = [read(path, limit) for limit in (None, 1e9, 5e5)]
    assert not any(table.memmapped for table in in_memory)
    table = read(path, limit=1e3)
    assert table.memmapped
    assert list(FOLDER.iterdir()) == []  # the file has no name
    np.testing.assert_array_equal(table.x, in_memory[0].x)
    np.testing.assert_array_equal(table.split_columns["group"], in_memory[0].split_columns["group"])
    assert (table.schema, table.fingerprint) == (in_memory[0].schema, in_memory[0].fingerprint)


def test_the_limit_is_a_share_of_the_free_memory(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_table, "free_memory", lambda: 1000)
    assert read(path).memmapped


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("1,x,c0,oops,1,g0", f", data row {ROWS + 1}: is a text, not a number"),
        ("1,x,c0,1,1,g0,7", ": the line has 7 fields, but the header has 6"),
    ],
)
def test_a_refused_table_leaves_no_files(path: Path, row: str, said: str) -> None:
    path.write_text(f"{path.read_text()}{row}\n")
    with pytest.raises(UserError, match=f"line {ROWS + 2}{said}"):
        read(path, limit=1e3)
    assert list(FOLDER.iterdir()) == []
