"""Dates and times: their formats, their features, and columns with several formats."""

import json
import shlex
from collections.abc import Sequence
from datetime import datetime, timedelta
from math import cos, pi, sin

import numpy as np
import polars as pl
import pytest
from support import config, table_of

from mlplab.data.cells.dates import (
    DATE_FORMATS,
    DATE_PARTS,
    date_formats,
    date_parts,
    mixed_formats,
    parse_datetime,
    parts_of,
)
from mlplab.data.infer.infer_kind import infer_kind, known_kind
from mlplab.data.new_data import FrameTransformer
from mlplab.data.schema import Schema
from mlplab.data.table import Table
from mlplab.errors import UserError

ISO, POINTS, DAY_FIRST, MONTH_FIRST = "%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y"
MOMENTS = [datetime(2023, 11, 3, 5, 17) + timedelta(days=37 * i, hours=5 * i) for i in range(30)]


def table(cells: Sequence[object], declared: str = "", **spec: object) -> Table:
    """A table of 30 rows with these cells in column `a`, beside a number and the target."""
    column = pl.Series("a", [cells[i % len(cells)] for i in range(30)], strict=False)
    frame = pl.DataFrame({"a": column, "x": [i // 2 for i in range(30)], "y": [0, *range(29)]})
    return table_of(frame, declared={"a": declared} if declared else {}, **spec)


def features_of(made: Table, cells: Sequence[object]) -> np.ndarray:
    """The features of new rows with these cells, by what is saved of a table's schema."""
    schema = Schema.from_plain(json.loads(json.dumps(made.schema.plain())))
    assert schema == made.schema
    new = FrameTransformer(schema, "new", np.float32, decimal_comma=False)
    return new.features(pl.DataFrame({"a": cells, "x": [row // 2 for row in range(len(cells))]}))


def circle(turn: float) -> tuple[float, float]:
    return sin(2 * pi * turn), cos(2 * pi * turn)


def parts(day: datetime) -> list[float]:
    """The features of a date, written out."""
    hour = day.hour + day.minute / 60 + day.second / 3600
    whole = datetime(day.year + 1, 1, 1) - datetime(day.year, 1, 1)
    year = day.year + (day - datetime(day.year, 1, 1)) / whole
    return [year, *circle((day.month - 1) / 12), *circle(day.weekday() / 7), *circle(hour / 24)]


def features(texts: Sequence[str], date_format: str) -> np.ndarray:
    """All features of texts, which are found to be dates of this format."""
    cells = pl.Series(texts)
    assert date_formats(cells.unique(maintain_order=True)) == [date_format]
    return np.column_stack(date_parts(parse_datetime(cells, (), date_format), parts_of(date_format), 0.0))


@pytest.mark.parametrize("days", DATE_FORMATS)
@pytest.mark.parametrize("time", [" %H:%M", "T%H:%M:%S", " %H:%M:%S.%f", "T%H:%M:%SZ", " %H:%M+02:00"])
def test_a_date_is_seven_numbers_however_it_is_written(days: str, time: str) -> None:
    found = features([day.strftime(days + time) for day in MOMENTS], days)
    expected = [parts(day - timedelta(hours=2 if "+02" in time else 0)) for day in MOMENTS]  # in UTC
    np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize(
    ("cells", "date_format", "first"),
    [
        (["6-Aug-09", "16-Aug-71"], "%d-%b-%y", datetime(2009, 8, 6)),
        (["1970 Q3", "1971 Q4"], "%Y Q%q", datetime(1970, 7, 1)),
        (["1991 W06", "1992 W53"], "%G W%V", datetime(1991, 2, 4)),
        (["March 2018", "Oct 1975"], "%B %Y", datetime(2018, 3, 1)),
        (["02:55:10", "14:05:59"], "%H:%M:%S", datetime(1, 1, 1, 2, 55, 10)),
        (["2:55 p.m.", "5:00 a.m.", "11:00 PM"], "%I:%M %p", datetime(1, 1, 1, 14, 55)),
        (["May", "jan", "Sept.", "December"], "%B", datetime(2001, 5, 1)),
        (["Thurs", "mon", "SUNDAY"], "%A", datetime(2024, 2, 1)),
    ],
)
def test_other_dates_and_times(cells: list[str], date_format: str, first: datetime) -> None:
    assert infer_kind(pl.Series(cells), len(cells), len(cells)) == "date"
    expected = dict(zip(DATE_PARTS, parts(first), strict=True))
    found = features(cells, date_format)[0]
    np.testing.assert_allclose(found, [expected[part] for part in parts_of(date_format)], atol=1e-9)


@pytest.mark.parametrize(("cells", "parts"), [(["Mon", "Tue", "Wed"], "weekday"), (["1:30", "2:00"], "hour")])
def test_names_and_times_of_day_are_places_in_a_circle(cells: list[str], parts: str) -> None:
    assert table(cells).schema.inputs[0].parts == (f"{parts}_sin", f"{parts}_cos")
    assert table([*cells, "other"]).schema.inputs[0].kind == "categorical"


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Asia/Kolkata"])
def test_moments_with_a_zone_are_the_same_in_text_and_in_a_frame(zone: str) -> None:
    zoned = pl.Series(MOMENTS).dt.replace_time_zone(zone)
    text = zoned.dt.strftime("%Y-%m-%dT%H:%M:%S%:z").to_list()
    np.testing.assert_array_equal(table(zoned.to_list()).x, table(text).x)


@pytest.mark.parametrize(("first", "declared"), [(1998, ""), (1940, ""), (1969, ""), (1935, "%d.%m.%y")])
def test_years_of_two_digits_give_a_warning_and_are_read_the_same_later(
    first: int, declared: str, caplog: pytest.LogCaptureFixture
) -> None:
    cells = [f"{1 + row % 28:02}.03.{(first + row) % 100:02}" for row in range(30)]
    made = table(cells, declared)
    [date, _] = made.schema.inputs
    assert date.format == "%d.%m.%y"
    years = np.floor(made.x[:, 0].astype(float) + date.offset)
    assert years.tolist() == [*range(first, first + 30)]
    assert f"are read as 1930 to 2029, here from {first} to {first + 29};" in caplog.text
    np.testing.assert_array_equal(features_of(made, cells), made.x)


def test_ambiguous_dates_are_refused() -> None:
    with pytest.raises(UserError, match=r"years are ambiguous.*\n  use four-digit years; or data"):
        table([f"{1 + row % 28:02}.03.{15 + row:02}" for row in range(30)])
    cells = [f"0{1 + i % 9}/0{1 + i % 5}/2020" for i in range(30)]
    remedy = r"declare data\.columns\.a=%d/%m/%Y or, if the month comes first, data\.columns\.a=%m/%d/%Y"
    with pytest.raises(UserError, match=remedy):
        table(cells)


def test_numbers_that_look_like_dates_give_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    days = [int(f"{day:%Y%m%d}") for day in MOMENTS]
    for numbers in (days, [str(day) for day in days]):
        assert table(numbers).schema.inputs[0].kind == "numeric"
        [message] = [text for text in caplog.messages if "dates" in text]
        assert "such as 20231103; if they are: data.columns.a=%Y%m%d" in message
        caplog.clear()
        made = table(numbers, "%Y%m%d")
        assert made.schema.inputs[0].kind == "date"
        assert not caplog.text
        for cells in (days, [float(day) for day in days], [str(day) for day in days]):  # floats with nulls
            np.testing.assert_array_equal(features_of(made, cells), made.x)


def test_an_invalid_date_format_is_refused() -> None:
    for code in ("%Y-%m-%d %H", "%Q or %d.%m.%Y"):
        with pytest.raises(UserError, match=r"%(H|Q.*)'?: is not a date format"):
            table(["2024-01-31"], code)
    for code in ("%Y-%m-%dT%H:%M:%S%.f%#z", "%+", "%s", "%Y Q%q", "%G W%V", "%e %h %C%y", "%Y-%j %Z"):
        known_kind("t", code, pl.String())


DAYS = [datetime(2020, 1, 5) + timedelta(days=17 * number) for number in range(60)]
EARLY = [datetime(2020 + number // 12, 1 + number % 12, 1 + number % 5) for number in range(60)]


def written(days: Sequence[datetime], *formats: str) -> list[str]:
    """Days, written in one format after the other."""
    return [f"{day:{formats[number % len(formats)]}}" for number, day in enumerate(days)]


def typed_table(cells: Sequence[str], *words: str) -> Table:
    """A table with these cells in column `a`, with the kinds of columns that were typed."""
    run = config("data=csv", "data.path=t", "data.target=y", *words)
    numbers = range(len(cells))
    frame = pl.DataFrame({"a": cells, "x": [number // 2 for number in numbers], "y": numbers})
    return table_of(frame, declared=dict(run.data.columns))  # type: ignore[union-attr]


def test_listed_formats_are_read_in_training_and_in_new_rows() -> None:
    cells = [*written(DAYS, ISO, POINTS), "05.01.2020 12:30", "2020-01-05T12:30", ""]
    plain = [*written(DAYS, ISO), "2020-01-05 12:30", "2020-01-05 12:30", ""]
    made, expected = typed_table(cells, "data.columns.a=[%Y-%m-%d,%d.%m.%Y]"), typed_table(plain)
    np.testing.assert_array_equal(made.x, expected.x)
    np.testing.assert_array_equal(features_of(made, cells), expected.x)
    with pytest.raises(UserError, match=r"'05/01/2020', expected one written as %Y-%m-%d or %d\.%m\.%Y"):
        features_of(made, [*cells, "05/01/2020"])


def test_the_first_format_that_fits_reads_a_cell_whatever_the_other_cells_are() -> None:
    cells = pl.Series(["03/25/2020", "03/04/2020", "2020", None])
    moments = [datetime(2020, 3, 25), datetime(2020, 4, 3), None, None]
    assert parse_datetime(cells, (), f"{DAY_FIRST} or {MONTH_FIRST}").to_list() == moments


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
    cells, text = written(days, *formats), ""
    try:
        typed_table(cells)
    except UserError as error:
        text = str(error)
    remedy, *_ = shlex.split((text or caplog.text).partition(message)[2].partition("; or set")[0])
    np.testing.assert_array_equal(typed_table(cells, remedy).x, typed_table(written(days, ISO)).x)


def test_formats_are_offered_if_they_read_nearly_all_texts_and_day_and_month_are_known() -> None:
    assert mixed_formats(pl.Series([*written(DAYS, ISO, POINTS), "unknown"])) == [f"{ISO} or {POINTS}"]
    assert mixed_formats(pl.Series(written(DAYS, ISO, DAY_FIRST, MONTH_FIRST))) == []
    assert mixed_formats(pl.Series(["2020-01-02", "02.01.2020", "red", "blue"])) == []
