"""Dates in several formats in one column: how they are read, and when that is offered."""

import json
import logging
import shlex
from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest
from support import config, table_of

from mlplab.data.cells.dates import mixed_formats, parse_datetime
from mlplab.data.new_data import FrameTransformer
from mlplab.data.schema import Schema
from mlplab.data.table import Table
from mlplab.errors import UserError

ISO, POINTS, DAY_FIRST, MONTH_FIRST = "%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y"
DAYS = [datetime(2020, 1, 5) + timedelta(days=17 * number) for number in range(60)]
EARLY = [datetime(2020 + number // 12, 1 + number % 12, 1 + number % 5) for number in range(60)]


def written(days: Sequence[datetime], *formats: str) -> list[str]:
    """Days, written in one format after the other."""
    return [f"{day:{formats[number % len(formats)]}}" for number, day in enumerate(days)]


def rows(cells: Sequence[str]) -> pl.DataFrame:
    """Rows with these cells in column `a`, beside a number and the target."""
    numbers = range(len(cells))
    return pl.DataFrame({"a": cells, "x": [number // 2 for number in numbers], "y": numbers})


def table(cells: Sequence[str], *words: str) -> Table:
    """A table of such rows, with the kinds of columns that were typed."""
    run = config("data=csv", "data.path=t", "data.target=y", *words)
    return table_of(rows(cells), declared=dict(run.data.columns))  # type: ignore[union-attr]


def test_listed_formats_are_read_in_training_and_in_new_rows() -> None:
    cells = [*written(DAYS, ISO, POINTS), "05.01.2020 12:30", "2020-01-05T12:30", ""]
    plain = [*written(DAYS, ISO), "2020-01-05 12:30", "2020-01-05 12:30", ""]
    made, expected = table(cells, "data.columns.a=[%Y-%m-%d,%d.%m.%Y]"), table(plain)
    np.testing.assert_array_equal(made.x, expected.x)
    schema = Schema.from_plain(json.loads(json.dumps(made.schema.plain())))
    assert schema == made.schema
    assert schema.inputs[0].expected == "one written as %Y-%m-%d or %d.%m.%Y"
    new = FrameTransformer(schema, "new", np.float32, decimal_comma=False)
    np.testing.assert_array_equal(new.features(rows(cells).reverse()), expected.x[::-1])
    with pytest.raises(UserError, match=r"'05/01/2020', expected one written as %Y-%m-%d or %d\.%m\.%Y"):
        new.features(rows([*cells, "05/01/2020"]))


def test_the_first_format_that_fits_reads_a_cell_whatever_the_other_cells_are() -> None:
    cells = pl.Series(["03/25/2020", "03/04/2020", "2020", None])
    moments = [datetime(2020, 3, 25), datetime(2020, 4, 3), None, None]
    assert parse_datetime(cells, (), f"{DAY_FIRST} or {MONTH_FIRST}").to_list() == moments


def test_each_of_several_formats_must_be_valid() -> None:
    with pytest.raises(UserError, match=r"%Y-%m-%d %H.*: is not a date format"):
        table(["2024-01-31"], "data.columns.a=[%Y-%m-%d,%Y-%m-%d %H]")


@pytest.mark.parametrize(
    ("days", "formats", "message"),
    [
        (DAYS, [ISO, ISO, POINTS], "if it is a date in another format: "),
        (DAYS, [ISO, POINTS, DAY_FIRST], "leaving out column 'a': dates in several formats; to read them: "),
        (DAYS[:10] * 6, [ISO, POINTS], "column 'a': dates in several formats; to read them: "),
        (EARLY, [ISO, POINTS, ISO, MONTH_FIRST], " or, if the month comes first, "),
    ],
)
def test_several_formats_are_offered_and_the_remedy_works_when_typed(
    days: list[datetime], formats: list[str], message: str, caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("mlplab").propagate = True
    cells, text = written(days, *formats), ""
    try:
        table(cells)
    except UserError as error:
        text = str(error)
    remedy, *_ = shlex.split((text or caplog.text).partition(message)[2].partition("; or set")[0])
    np.testing.assert_array_equal(table(cells, remedy).x, table(written(days, ISO)).x)


@pytest.mark.parametrize(
    ("cells", "formats"),
    [
        ([*written(DAYS, ISO, POINTS), "unknown", "2020-02-30"], [f"{ISO} or {POINTS}"]),
        (written(EARLY, ISO, DAY_FIRST), [f"{ISO} or {DAY_FIRST}", f"{ISO} or {MONTH_FIRST}"]),
        (written(DAYS, ISO, DAY_FIRST, MONTH_FIRST), []),
        (["2020-01-02", "02.01.2020", "red", "blue"], []),
    ],
)
def test_formats_are_offered_if_they_read_nearly_all_texts_and_day_and_month_are_known(
    cells: list[str], formats: list[str]
) -> None:
    assert mixed_formats(pl.Series(cells)) == formats


def test_levels_with_a_percent_sign_are_no_formats() -> None:
    levels = ["<10 %", "10%–20%", ">20%"]
    run = config("data=csv", "data.path=t", "data.target=y", f"data.columns.a=[{','.join(levels)}]")
    assert run.data.columns == {"a": levels}  # type: ignore[union-attr]
