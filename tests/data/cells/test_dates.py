import json
import shlex
from collections.abc import Sequence
from datetime import datetime, time, timedelta
from math import cos, pi, sin
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from support import config, table_of
from support import table_of_column as table

from mlplab.data.cells import dates
from mlplab.data.cells.dates import mixed_formats, parse_datetime, parts_of
from mlplab.data.infer.infer_kind import infer_kind, known_kind
from mlplab.data.new_rows import FrameTransformer
from mlplab.data.schema import Schema
from mlplab.data.table import Table
from mlplab.errors import UserError

ISO, POINTS, DAY_FIRST, MONTH_FIRST = "%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y"
MOMENTS = [datetime(2023, 11, 3, 5, 17) + timedelta(days=37 * i, hours=5 * i) for i in range(30)]


def features_of(made: Table, cells: Sequence[object]) -> np.ndarray:
    """The features of new rows with these cells, by what is saved of a table's schema."""
    schema = Schema.from_plain(json.loads(json.dumps(made.schema.plain())))
    assert schema == made.schema
    new = FrameTransformer(schema, "new", np.float32, decimal_comma=False)
    return new.features(pl.DataFrame({"a": cells, "x": [row // 2 for row in range(len(cells))]}))


def parts(day: datetime) -> list[float]:
    """The features of a date, written out."""
    start, end = (datetime(year, 1, 1) for year in (day.year, day.year + 1))
    hour = day.hour + day.minute / 60 + day.second / 3600
    turns = [2 * pi * turn for turn in ((day.month - 1) / 12, day.weekday() / 7, hour / 24)]
    return [day.year + (day - start) / (end - start), *(f(turn) for turn in turns for f in (sin, cos))]


def features(texts: Sequence[str], date_format: str) -> np.ndarray:
    """All features of texts, which are found to be dates of this format."""
    cells = pl.Series(texts)
    moments = parse_datetime(cells, (), date_format)
    assert dates.date_formats(cells.unique(maintain_order=True)) == [date_format]
    return np.column_stack(dates.date_parts(moments, parts_of(date_format), 0.0))


@pytest.mark.parametrize("days", dates.DATE_FORMATS)
@pytest.mark.parametrize("clock", [" %H:%M", "T%H:%M:%S", " %H:%M:%S.%f", "T%H:%M:%SZ", " %H:%M+02:00"])
def test_a_date_is_seven_numbers_however_it_is_written(days: str, clock: str) -> None:
    found = features([day.strftime(days + clock) for day in MOMENTS], days)
    expected = [parts(day - timedelta(hours=2 if "+02" in clock else 0)) for day in MOMENTS]  # in UTC
    np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize(
    ("cells", "date_format", "first"),
    [
        (["6-Aug-09", "16-Aug-71"], "%d-%b-%y", datetime(2009, 8, 6)),
        (["1970 Q3", "1971 Q4"], "%Y Q%q", datetime(1970, 7, 1)),
        (["1991 W06", "1992 W53"], "%G W%V", datetime(1991, 2, 4)),
        (["2006-05", "2006-11"], "%Y-%m", datetime(2006, 5, 1)),
        (["2015/3", "2016/12"], "%Y/%m", datetime(2015, 3, 1)),
        (["03-2015", "12-2016"], "%m-%Y", datetime(2015, 3, 1)),
        (["1/2015", "12/2016"], "%m/%Y", datetime(2015, 1, 1)),
        (["March 2018", "Oct 1975"], "%B %Y", datetime(2018, 3, 1)),
        (["02:55:10", "14:05:59"], "%H:%M:%S", datetime(1, 1, 1, 2, 55, 10)),
        (["2:55 p.m.", "5:00 a.m.", "11:00 PM"], "%I:%M %p", datetime(1, 1, 1, 14, 55)),
        (["May", "jan", "Sept.", "December"], "%B", datetime(2001, 5, 1)),
        (["Thurs", "mon", "SUNDAY"], "%A", datetime(2024, 2, 1)),
    ],
)
def test_other_dates_and_times(cells: list[str], date_format: str, first: datetime) -> None:
    assert infer_kind(pl.Series(cells), len(cells), len(cells)) == "date"
    expected = dict(zip(dates.DATE_PARTS, parts(first), strict=True))
    found = features(cells, date_format)[0]
    np.testing.assert_allclose(found, [expected[part] for part in parts_of(date_format)], atol=1e-9)


@pytest.mark.parametrize(("cells", "parts"), [(["Mon", "Tue", "Wed"], "weekday"), (["1:30", "2:00"], "hour")])
def test_names_and_times_of_day_are_places_in_a_circle(
    cells: list[str], parts: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert table(cells).schema.inputs[0].parts == (f"{parts}_sin", f"{parts}_cos")
    offer = "read as times of day; if they are durations: 'data.columns.a=\"1:30\"'"
    assert (offer in caplog.text) == (parts == "hour")  # all before noon
    caplog.clear()
    assert table([*cells, "other"]).schema.inputs[0].kind == "categorical"
    table([*cells, "18:00"])
    assert offer not in caplog.text


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Asia/Kolkata"])
def test_moments_with_a_zone_are_the_same_in_text_and_in_a_frame(zone: str) -> None:
    zoned = pl.Series(MOMENTS).dt.replace_time_zone(zone)
    text = zoned.dt.strftime("%Y-%m-%dT%H:%M:%S%:z").to_list()
    np.testing.assert_array_equal(table(zoned.to_list()).x, table(text).x)


def test_times_of_day_are_read_as_their_texts(tmp_path: Path) -> None:
    frame = pl.DataFrame({"a": [*(time(hour, 5 * hour, 7) for hour in range(12)), None], "y": range(13)})
    frame.write_parquet(tmp_path / "t.parquet")
    texts = table_of(frame.cast({"a": pl.String}))
    assert [column.kind for column in texts.schema.inputs] == ["date"]
    for made in (table_of(frame), table_of(tmp_path / "t.parquet")):
        assert made.schema == texts.schema
        np.testing.assert_array_equal(made.x, texts.x)
    transformer = FrameTransformer(texts.schema, "t", np.float32, decimal_comma=False)
    np.testing.assert_array_equal(transformer.features(frame), texts.x)


@pytest.mark.parametrize(("first", "declared"), [(1998, ""), (1940, ""), (1969, ""), (1935, "%d.%m.%y")])
def test_years_of_two_digits(first: int, declared: str, caplog: pytest.LogCaptureFixture) -> None:
    cells = [f"{1 + row % 28:02}.03.{(first + row) % 100:02}" for row in range(30)]
    made = table(cells, declared)
    date = made.schema.inputs[0]
    assert date.format == "%d.%m.%y"
    assert np.floor(made.x[:, 0].astype(float) + date.offset).tolist() == [*range(first, first + 30)]
    assert f"are read as 1930 to 2029, here from {first} to {first + 29};" in caplog.text
    np.testing.assert_array_equal(features_of(made, cells), made.x)


def test_ambiguous_years_are_refused() -> None:
    with pytest.raises(UserError, match=r"years are ambiguous.*\n  use four-digit years; or data"):
        table([f"{1 + row % 28:02}.03.{15 + row:02}" for row in range(30)])


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


MONTHS = [f"{2014 + month // 12}.{month % 12 + 1:02}" for month in range(30)]


@pytest.mark.parametrize(
    ("cells", "kind", "date_format"),
    [
        (MONTHS, "date", "%Y.%m"),
        ([".".join(reversed(month.split("."))) for month in MONTHS], "date", "%m.%Y"),
        (MONTHS[:3] * 10, "numeric", "%Y.%m"),  # by chance, perhaps
        ([*map(float, MONTHS)], "numeric", "%Y.%m"),
        ([int(month.replace(".", "")) for month in MONTHS], "numeric", "%Y%m"),
    ],
)
def test_months_that_are_numbers_are_dates_if_that_is_certain_or_declared(
    cells: list[object], kind: str, date_format: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert table(cells).schema.inputs[0].kind == kind
    is_noted = kind == "numeric" and not isinstance(cells[0], float)
    assert (f"if they are: data.columns.a={date_format}" in caplog.text) == is_noted
    made = table(cells, date_format if isinstance(cells[0], float) else "date")
    [date] = [column for column in made.schema.inputs if column.name == "a"]
    assert (date.kind, date.format) == ("date", date_format)
    assert not any("weekday" in part for part in date.parts)
    expected = table([f"{MONTHS[row % len(set(cells))].replace('.', '-')}-01" for row in range(len(cells))])
    x, parts = expected.x, expected.schema.inputs[0].parts
    np.testing.assert_array_equal(made.x[:, 0], x[:, 0])  # the year
    np.testing.assert_array_equal(made.x[:, date.parts.index("month_sin")], x[:, parts.index("month_sin")])
    np.testing.assert_array_equal(features_of(made, cells), made.x)


@pytest.mark.parametrize("last", [8, 15])
def test_seasons_and_numbers_that_are_no_months_are_no_dates(last: int) -> None:
    seasons = [f"{1997 + row % last}-{(1998 + row % last) % 100:02}" for row in range(30)]
    assert table(seasons).schema.inputs[0].kind == "categorical"
    assert table(["2015.13", *MONTHS[1:]]).schema.inputs[0].kind == "numeric"
    assert table([f"2015.{tenth}" for tenth in range(1, 10)]).schema.inputs[0].kind == "numeric"


def test_a_number_that_is_no_month_is_refused_in_a_column_of_months() -> None:
    with pytest.raises(UserError, match=r"is not a date like the others.*'2015.2'"):
        table([2015.2, *map(float, MONTHS[1:])], "%Y.%m")


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
    frame = pl.DataFrame({"a": cells, "x": np.arange(len(cells)) // 2, "y": range(len(cells))})
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
