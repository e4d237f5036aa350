"""Tables whose later rows contradict what the first ones suggest."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from support import table_of

from mlplab.data.cells import dates
from mlplab.data.infer import table_reader
from mlplab.data.table import BLOCK, Table
from mlplab.errors import UserError

SAMPLE_ROWS = 96
LATER = SAMPLE_ROWS + 4
"""First rows that suggest something."""


@pytest.fixture(autouse=True)
def _few_sample_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_reader, "SAMPLE_ROWS", SAMPLE_ROWS)


def written(folder: Path, kind: str, cells: Sequence[object]) -> Path:
    """A file of a column `a` beside the target."""
    text = pl.Series("a", [None if cell is None else str(cell) for cell in cells], dtype=pl.String)
    frame = pl.DataFrame([text, pl.Series("y", range(len(cells)))])
    if kind == "csv":
        frame.write_csv(folder / "t.csv")
    else:
        frame.write_parquet(folder / "t.parquet")
    return folder / f"t.{kind}"


@pytest.fixture(params=["csv", "parquet"])
def read(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Table]:
    """Makes a table of a column's cells, by way of a file."""

    def table(cells: Sequence[object], **spec: object) -> Table:
        return table_of(written(tmp_path, request.param, cells), **spec)  # type: ignore[arg-type]

    return table


def test_numbers_that_turn_out_to_be_categories(read: Callable[..., Table]) -> None:
    cells = [*[i % 3 for i in range(LATER)], *[f"k{i % 5}" for i in range(LATER + 1)]]
    table = read(cells)
    [column] = table.schema.inputs
    assert (column.kind, column.categories) == ("categorical", ("0", "1", "2", "k0", "k1", "k2", "k3", "k4"))
    assert table.x[:4, 0].tolist() == [0, 1, 2, 0]
    assert table.x[LATER : LATER + 3, 0].tolist() == [3, 4, 5]


def test_a_few_words_among_numbers_are_mistakes(read: Callable[..., Table]) -> None:
    cells: list[object] = [*range(2 * LATER)]
    cells[LATER + 7] = cells[LATER + 9] = "12 kg"
    with pytest.raises(
        UserError, match=rf"row {LATER + 8}: is a number with a unit, 'kg'; 2 such cells .*'12 kg'"
    ):
        read(cells)


def test_a_late_na_value(read: Callable[..., Table]) -> None:
    cells: list[object] = [*range(2 * LATER)]
    cells[LATER + 7], cells[LATER + 9] = "NA", "none"
    table = read(cells, na_values=("none",))
    assert np.flatnonzero(np.isnan(table.x[:, 0])).tolist() == [LATER + 7, LATER + 9]
    assert table.schema.inputs[0].kind == "numeric"


@pytest.mark.parametrize("first", [None, "NA"])
def test_a_sparse_column_of_numbers_keeps_its_digits(read: Callable[..., Table], first: str | None) -> None:
    table = read([*[first] * LATER, *range(10**12, 10**12 + 50)])
    [column] = table.schema.inputs
    assert (column.kind, column.missing) == ("numeric", True)
    assert np.isnan(table.x[:LATER, 0]).all()
    assert (table.x[LATER:, 0].astype(float) + column.offset).tolist() == [*range(10**12, 10**12 + 50)]


def test_numbers_that_are_declared_to_be_dates_are_refused() -> None:
    frame = pl.DataFrame({"a": range(20_240_101, 20_240_131), "y": range(30)})
    with pytest.raises(UserError, match=r"column 'a': contains no dates of a known format .*'20240101'"):
        table_of(frame, declared={"a": "date"})


def test_integers_that_a_float_cannot_tell_apart(read: Callable[..., Table]) -> None:
    with pytest.raises(UserError, match=r"column 'a': all values are about 1.84467e\+19"):
        read([2**64 - 1 - row for row in range(50)])


def test_a_sparse_column_of_dates(read: Callable[..., Table]) -> None:
    days = [datetime(2024, 1, 31) + timedelta(days=40 * i) for i in range(50)]
    table = read([*[None] * LATER, *[f"{day:%d.%m.%Y}" for day in days]])
    [column] = table.schema.inputs
    assert (column.kind, column.format, column.missing) == ("date", "%d.%m.%Y", True)
    years = table.x[LATER:, 0].astype(float) + column.offset
    assert np.floor(years).tolist() == [day.year for day in days]


def test_a_few_words_before_many_numbers_are_mistakes(read: Callable[..., Table]) -> None:
    words = [["low", "high"][i % 2] for i in range(LATER)]
    with pytest.raises(
        UserError, match=rf"data row 1: is a text, not a number; {LATER:,} such cells .*'low'"
    ):
        read([*words, *range(3 * LATER)])


@pytest.mark.parametrize("date_format", ["%d.%m.%Y", "%Y-%m-%dT%H:%M:%SZ"])
def test_a_date_is_parsed_once(
    read: Callable[..., Table], date_format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[int] = []
    strptime = dates._strptime

    def counting(text: pl.Series, *arguments: object) -> pl.Series:
        parsed.append(len(text))
        return strptime(text, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(dates, "_strptime", counting)
    rows, first = 4 * SAMPLE_ROWS, datetime(1990, 1, 13)
    read([f"{first + timedelta(days=i % 2000, minutes=i):{date_format}}" for i in range(rows)])
    assert sum(parsed) < rows + 4 * SAMPLE_ROWS  # to find the format and the offset, the sample is parsed too


def test_times_of_day_may_differ_within_a_column(read: Callable[..., Table]) -> None:
    times = ["", " 10:30", "T10:30:00", " 10:30:00.5", "T12:30+02:00", " 10:30 am", "T10:30:00 UTC"]
    table = read([f"2024-01-{i % 28 + 1:02}{times[i % len(times)]}" for i in range(2 * LATER)])
    [column] = table.schema.inputs
    assert (column.kind, column.format, column.missing) == ("date", "%Y-%m-%d", False)
    hours = table.x[: len(times), column.parts.index("hour_cos")]
    np.testing.assert_allclose(hours, [1, *[np.cos(2 * np.pi * 10.5 / 24)] * 6], atol=1e-4)


def test_a_word_among_dates_is_a_mistake(read: Callable[..., Table]) -> None:
    days = [f"{datetime(2000, 1, 1) + timedelta(days=i):%Y-%m-%d}" for i in range(2 * LATER)]
    days[LATER] = "soon"
    with pytest.raises(UserError, match=rf"data row {LATER + 1}: is not a date like the others .*'soon'"):
        read(days)


def test_the_offset_of_a_column_that_drifts(read: Callable[..., Table]) -> None:
    table = read([*[10**9] * LATER, *[10**9 + 1] * LATER])
    assert (table.x[:, 0].astype(float) + table.schema.offsets[0]).tolist() == [
        *[1e9] * LATER,
        *[1e9 + 1] * LATER,
    ]


def test_whole_numbers_that_become_fractions_in_a_frame() -> None:
    frame = pl.DataFrame({"a": [*[None] * LATER, 0.5, 1e300, 2.0], "y": range(LATER + 3)})
    with pytest.raises(UserError, match="column 'a': the values are too small or too large"):
        table_of(frame)


def test_a_table_of_many_blocks_is_in_order(tmp_path: Path) -> None:
    rows = BLOCK + 100
    lines = [f"{i},{'ab'[i % 2]},{i}\n" if i != BLOCK + 5 else "\n" for i in range(rows)]
    (tmp_path / "t.csv").write_text("a,c,y\n" + "".join(lines))
    table = table_of(tmp_path / "t.csv", raw=True)
    expected = np.delete(np.arange(rows), BLOCK + 5)
    np.testing.assert_array_equal(table.y[:, 0], expected)
    np.testing.assert_array_equal(table.x[:, 0], expected)
    np.testing.assert_array_equal(table.x[:, 1], expected % 2)
