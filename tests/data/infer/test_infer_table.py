"""Which columns are inputs, of which kind, and which are left out or refused; first rows that mislead."""

import weakref
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import polars as pl
import pytest
from support import file_of, table_of
from support import table_of_column as table

from mlplab.data.infer import block_reader
from mlplab.data.infer.block_reader import TableReader
from mlplab.data.infer.inferred_column import InferredColumn
from mlplab.data.infer.table_spec import TableSpec
from mlplab.data.io.source import Source
from mlplab.data.new_rows import FrameTransformer
from mlplab.data.table import BLOCK, Table
from mlplab.errors import UserError

MOMENTS = [datetime(2023, 11, 3, 5, 17) + timedelta(days=37 * i, hours=5 * i) for i in range(30)]


@pytest.mark.parametrize(
    ("cells", "declared", "kind"),
    [
        (["1", "", "NA", "2"], "", "numeric"),
        ([7, 8, None], "", "numeric"),
        (["true", "False", "TRUE", " "], "", "boolean"),
        (["red", "blue", None], "", "categorical"),
        ([3, 1, 2], "categorical", "categorical"),
        (["2024-01-31", "2024-02-29"], "", "date"),
        (["31|01|24", "29|02|24"], "%d|%m|%y", "date"),
        (MOMENTS, "", "date"),
        ([day.date() for day in MOMENTS], "", "date"),
    ],
)
def test_the_kind_of_an_input(cells: Sequence[object], declared: str, kind: str) -> None:
    [column, x] = table(cells, declared).schema.inputs
    assert (column.name, column.kind, x.kind) == ("a", kind, "numeric")
    assert column.missing == any(cell in (None, "", "NA", " ") for cell in cells)


@pytest.mark.parametrize(
    ("cells", "why"),
    [
        ([f"{i} Long Road, Flat {i % 7}, Town" for i in range(29)], "free text, which is not read: 29 diff"),
        (["same"], "all values are 'same'"),
        ([4.5], "all values are 4.5"),
        ([datetime(2024, 1, 31)], "all dates have the same day and hour"),
        (["", "n/a", None], "all values are missing"),
    ],
)
def test_others_are_left_out(cells: Sequence[object], why: str, caplog: pytest.LogCaptureFixture) -> None:
    schema = table(cells).schema
    assert (schema.names, list(schema.left_out)) == (["x"], ["a"])
    assert schema.left_out["a"].startswith(why)
    assert f"leaving out column 'a': {why}" in caplog.text
    caplog.clear()
    assert table(cells, "drop").schema.left_out == {"a": "as declared in data.columns"}
    assert not caplog.text


def test_codes_are_positions_in_the_sorted_categories() -> None:
    made = table(["red", "blue", None, " green", "red"])
    assert made.schema.inputs[0].categories == ("blue", "green", "red")
    assert made.schema.category_counts == (3, 0)
    assert made.schema.missing == (True, False)
    np.testing.assert_array_equal(made.x[:5, 0], [2, 0, np.nan, 1, 2])


def test_a_missing_number_is_recognised_in_any_spelling() -> None:
    made = table([" 1 ", "", "nan", None, "N/A", "null", "?", "-999.0", "2e3"], na_values=("?", "-999"))
    expected = [1, *[np.nan] * 7, 2000]
    np.testing.assert_array_equal(made.x[:9, 0] + np.float32(made.schema.offsets[0]), expected)
    numbers = table([1, -999, 3], na_values=("-999",))
    np.testing.assert_array_equal(np.isnan(numbers.x[:3, 0]), [0, 1, 0])
    new = FrameTransformer(numbers.schema, "t", np.float32, decimal_comma=False)
    assert np.isnan(new.features(pl.DataFrame({"a": ["-999.00"], "x": [1]}))[0, 0])


def test_offsets_keep_the_digits_of_large_values() -> None:
    large = 10**12 + np.arange(30)
    for cells in (large.tolist(), [*map(str, large)], large.astype(float).tolist()):
        made = table(cells)
        assert (made.x[:, 0].astype(float) + made.schema.offsets[0]).tolist() == large.tolist()
    assert table_of(pl.DataFrame({"a": range(30), "y": large})).y[:, 0].tolist() == large.tolist()


@pytest.mark.parametrize("value", [1e39, 1e-40])
def test_values_beyond_float32_are_refused(value: float) -> None:
    for a, y in (([0.0, 0.0, value], [1.0, 2, 3]), ([1.0, 2, 3], [0.0, value, 2 * value])):
        with pytest.raises(UserError, match=r"column '.': the values are too small or too large"):
            table_of(pl.DataFrame({"a": a, "y": y}))


def test_parts_that_do_not_vary_are_left_out() -> None:
    schema = table([datetime(2024, 1, day) for day in range(1, 31)]).schema
    assert schema.inputs[0].parts == ("year", "weekday_sin", "weekday_cos")


def test_names_after_the_sample_decide() -> None:
    cells = ["May", "June", "July"] * 2000
    for last, kind in (("May", "date"), ("all year", "categorical")):
        assert table_of(pl.DataFrame({"a": [*cells, last], "y": range(6001)})).schema.inputs[0].kind == kind


def test_a_whole_number_is_the_same_category_with_and_without_a_point() -> None:
    made = table(["0.0", "1.0", "2.0"], "categorical")
    assert made.schema.inputs[0].categories == ("0", "1", "2")
    new = FrameTransformer(made.schema, "t", np.float32, decimal_comma=False)
    for cell in ("2", 2, 2.0, "2.0"):
        assert new.features(pl.DataFrame({"a": [cell], "x": [1]}))[0, 0] == 2


@pytest.mark.parametrize(
    ("kind", "cells", "message"),
    [
        ("%Y%m%d", [20240131, 20240132], "is not a date"),
        ("date", [2024013, 2024022], "contains no dates of a known format .*'2024013'"),
        ("boolean", [0, 1, 7], "is neither true nor false"),
    ],
)
def test_a_declared_kind_means_the_same_for_numbers(kind: str, cells: list[object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        table(cells, kind)


SAMPLE_ROWS = 96
LATER = SAMPLE_ROWS + 4  # first rows that suggest something
Read = Callable[..., Table]


@pytest.fixture(params=["csv", "parquet"])
def read(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Read:
    """Makes a table of a column's cells beside the target, by way of a file with few rows in its sample."""
    monkeypatch.setattr(block_reader, "SAMPLE_ROWS", SAMPLE_ROWS)
    path = tmp_path / f"t.{request.param}"

    def made(cells: Sequence[object], **spec: object) -> Table:
        text = pl.Series("a", [None if cell is None else str(cell) for cell in cells], dtype=pl.String)
        frame = pl.DataFrame([text, pl.Series("y", range(len(cells)))])
        (frame.write_csv if path.suffix == ".csv" else frame.write_parquet)(path)
        return table_of(path, **spec)  # type: ignore[arg-type]

    return made


def test_numbers_that_turn_out_to_be_categories(read: Read) -> None:
    table = read([*[i % 3 for i in range(LATER)], *[f"k{i % 5}" for i in range(LATER + 1)]])
    [column] = table.schema.inputs
    assert (column.kind, column.categories) == ("categorical", ("0", "1", "2", "k0", "k1", "k2", "k3", "k4"))
    assert table.x[:4, 0].tolist() == [0, 1, 2, 0]
    assert table.x[LATER : LATER + 3, 0].tolist() == [3, 4, 5]


@pytest.mark.parametrize(
    "spec", [{"declared": {"a": "numeric"}}, {"target": "a", "task": "regression"}, {"weight": "a"}]
)
def test_a_number_format_that_only_later_rows_show(spec: dict[str, object]) -> None:
    def made(*later: str) -> Table:
        cells = pl.Series([*map(str, range(block_reader.SAMPLE_ROWS)), *later])
        return table_of(pl.DataFrame({"a": cells, "x": range(len(cells)), "y": range(len(cells))}), **spec)

    table = made("1,234", "2,234.5")
    x, y, weight = table.x[:, 0] + table.schema.offsets[0], table.y[:, 0], table.weight
    read_as = {"declared": x, "target": y, "weight": weight}[next(iter(spec))]
    assert read_as[-2:].tolist() == [1234, 2234.5]
    with pytest.raises(UserError, match=r"(?s)comma may mark decimals or thousands .*thousands: .*1,234\.5"):
        made("1,234")


def test_numbers_with_a_few_odd_cells_are_no_text(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds, read_as = list[str](), InferredColumn.read_as
    monkeypatch.setattr(InferredColumn, "read_as", lambda *given: kinds.append(given[1]) or read_as(*given))
    with pytest.raises(UserError, match=r"'a'.*: is not a finite number .*'\?'"):
        read([*range(LATER), "?"])
    assert "categorical" not in kinds


@pytest.mark.parametrize("missing", [" Na", "?"])
def test_polars_parses_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    parsed, blocks = list[object](), Source.blocks
    monkeypatch.setattr(Source, "blocks", lambda *given: parsed.append(given[3]) or blocks(*given))
    cells = "".join(f"{i if i % 5 else missing},{i // 2}\n" for i in range(30))
    table = table_of(file_of(tmp_path, f"a,y\n{cells}"), na_values=() if missing == " Na" else ("?",))
    assert np.isnan(table.x[:, 0]).sum() == 6
    assert parsed == [{"a", "y"}]


def reader(cells: Sequence[str], allocate: Callable[..., np.ndarray]) -> TableReader:
    frame = pl.DataFrame({"a": cells, "y": range(len(cells))})
    return TableReader(Source.of_frame("t", frame), TableSpec((("y", "target"),)), allocate=allocate)


def test_a_matrix_is_freed_before_rows_are_read_again() -> None:
    made = list[weakref.ref[np.ndarray]]()

    def allocate(shape: tuple[int, int], dtype: type[np.floating]) -> np.ndarray:
        assert not any(matrix() is not None for matrix in made[: len(made) // 2 * 2])
        made.append(weakref.ref(matrix := np.empty(shape, dtype)))
        return matrix

    reader([*map(str, range(5000)), *"xz" * 2500], allocate).read()
    assert len(made) > 2


def test_an_error_of_polars_that_remains_is_reported() -> None:
    with pytest.raises(UserError, match="t: cannot be read: no space"):
        reader(["1"], Mock(side_effect=pl.exceptions.ComputeError("no space"))).read()


NUMBERS = [*range(LATER)]
DAYS = [f"{datetime(2000, 1, 1) + timedelta(days=i):%Y-%m-%d}" for i in range(LATER)]


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([*NUMBERS, *["12 kg", 7] * 2], r"row 101: is a number with a unit, 'kg'; 2 such cells .*'12 kg'"),
        ([*["low", "high"] * 50, *NUMBERS * 3], r"row 1: is a text, not a number; 100 such cells .*'low'"),
        ([*DAYS, "soon", *DAYS], r"row 101: is not a date like the others .*'soon'"),
        ([2**64 - 1 - row for row in range(50)], r"'a': all values are about 1.84467e\+19"),
        ([*[None] * LATER, 0.5, 1e300, 2.0], "'a': the values are too small or too large"),
    ],
)
def test_later_cells_that_do_not_fit_are_mistakes(read: Read, cells: list[object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read(cells)


@pytest.mark.parametrize("first", [None, "NA", "none"])
def test_a_sparse_column_of_numbers_keeps_its_digits(read: Read, first: str | None) -> None:
    large = [*range(10**12, 10**12 + 50)]
    table = read([*[first] * LATER, *large, "none"], na_values=("none",))
    [column] = table.schema.inputs
    assert (column.kind, column.missing) == ("numeric", True)
    assert np.isnan(table.x[:LATER, 0]).all()
    assert (table.x[LATER:-1, 0].astype(float) + column.offset).tolist() == large


def test_a_sparse_column_of_dates(read: Read) -> None:
    days = [datetime(2024, 1, 31) + timedelta(days=40 * i) for i in range(50)]
    table = read([*[None] * LATER, *[f"{day:%d.%m.%Y}" for day in days]])
    [column] = table.schema.inputs
    assert (column.kind, column.format, column.missing) == ("date", "%d.%m.%Y", True)
    assert np.floor(table.x[LATER:, 0].astype(float) + column.offset).tolist() == [day.year for day in days]


def test_a_table_of_many_blocks_is_in_order(tmp_path: Path) -> None:
    rows = np.delete(np.arange(BLOCK + 100), BLOCK + 5)
    lines = [f"{i},{'ab'[i % 2]},{i}" for i in rows]
    text = "\n".join(["a,c,y", *lines[: BLOCK + 5], "", *lines[BLOCK + 5 :]])
    table = table_of(file_of(tmp_path, text), raw=True)
    np.testing.assert_array_equal(np.hstack([table.x, table.y]).T, [rows, rows % 2, rows])
