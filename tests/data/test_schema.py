"""What is inferred about columns, and how their cells become features."""

import json
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from math import cos, pi, sin

import numpy as np
import polars as pl
import pytest
from support import table_of

from mlplab.data.cells.dates import DATE_FORMATS, DATE_PARTS
from mlplab.data.infer.infer_kind import infer_kind, known_kind
from mlplab.data.new_data import FrameTransformer
from mlplab.data.schema import Column, Schema, column_rows
from mlplab.data.table import Table
from mlplab.errors import UserError

MOMENTS = [datetime(2023, 11, 3, 5, 17) + timedelta(days=37 * i, hours=5 * i) for i in range(30)]


def table(cells: Sequence[object], declared: str = "", **spec: object) -> Table:
    """A table of 30 rows with these cells in column `a`, beside a number and the target."""
    column = pl.Series("a", [cells[i % len(cells)] for i in range(30)], strict=False)
    frame = pl.DataFrame(
        [column, pl.Series("x", [each // 2 for each in range(30)]), pl.Series("y", [0, *range(29)])]
    )
    return table_of(frame, declared={"a": declared} if declared else {}, **spec)


@pytest.mark.parametrize(
    ("cells", "declared", "kind"),
    [
        (["1", "2.5", "-3e2"], "", "numeric"),
        (["1", "", "NA", "2"], "", "numeric"),
        ([7, 8, None], "", "numeric"),
        (["true", "False", "TRUE", " "], "", "boolean"),
        ([True, False], "", "boolean"),
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
        (
            [f"{i} Long Road, Flat {i % 7}, Town" for i in range(29)],
            "free text, which is not read: 29 different texts in ",
        ),
        (["same"], "all values are 'same'"),
        ([4.5], "all values are 4.5"),
        ([datetime(2024, 1, 31)], "all dates have the same day and hour"),
        (["", "n/a", None], "all values are missing"),
    ],
)
def test_columns_that_are_no_inputs_are_left_out_with_a_warning(
    cells: Sequence[object], why: str, caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("mlplab").propagate = True
    schema = table(cells).schema
    assert schema.names == ["x"]
    assert list(schema.left_out) == ["a"]
    assert schema.left_out["a"].startswith(why)
    assert f"leaving out column 'a': {why}" in caplog.text


def test_dropped_columns_are_left_out_without_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("mlplab").propagate = True
    assert table(["what", "ever"], "drop").schema.left_out == {"a": "as declared in data.columns"}
    assert not caplog.text


@pytest.mark.parametrize("words", ["yes no", "a b c", "1 x y", "2024-01-31 x y"])
def test_few_texts_in_many_rows_are_categories(words: str) -> None:
    assert infer_kind(pl.Series(words.split()), filled=1000, rows=1000) == "categorical"


def test_codes_are_positions_in_the_sorted_categories() -> None:
    made = table(["red", "blue", None, " green", "red"])
    assert made.schema.inputs[0].categories == ("blue", "green", "red")
    assert made.schema.category_counts == (3, 0)
    assert made.schema.missing == (True, False)
    np.testing.assert_array_equal(made.x[:5, 0], [2, 0, np.nan, 1, 2])


def test_na_values() -> None:
    cells = [" 1 ", "", "nan", None, "N/A", "null", "?", "2e3"]
    made = table(cells, na_values=("?",))
    np.testing.assert_array_equal(
        made.x[:8, 0] + np.float32(made.schema.offsets[0]), [1, *[np.nan] * 6, 2000]
    )
    np.testing.assert_array_equal(np.isnan(table([1, -999, 3], na_values=("-999",)).x[:3, 0]), [0, 1, 0])


def test_offsets_keep_the_digits_of_large_values() -> None:
    large = 10**12 + np.arange(30)
    for cells in (large.tolist(), [str(value) for value in large], large.astype(float).tolist()):
        made = table(cells)
        assert np.diff(made.x[:, 0]).tolist() == [1.0] * 29
        assert (made.x[:, 0].astype(float) + made.schema.offsets[0]).tolist() == large.tolist()
    frame = pl.DataFrame({"a": range(30), "y": large})
    assert table_of(frame).y[:, 0].tolist() == large.tolist()


def test_a_raw_table_keeps_its_numbers() -> None:
    assert table([5, 6, 7], raw=True).x[:3, 0].tolist() == [5, 6, 7]
    assert table([5, 6, 7]).schema.offsets == [6.0, 7.0]


@pytest.mark.parametrize("value", [1e39, 1e300, 1e-40])
def test_values_beyond_float32_are_refused(value: float) -> None:
    for frame in (
        pl.DataFrame({"a": [0.0, 0.0, value], "y": [1.0, 2, 3]}),
        pl.DataFrame({"a": [1.0, 2.0, 3.0], "y": [0.0, value, 2 * value]}),
    ):
        with pytest.raises(UserError, match=r"column '.': the values are too small or too large"):
            table_of(frame)


def circle(turn: float) -> tuple[float, float]:
    return sin(2 * pi * turn), cos(2 * pi * turn)


def parts(day: datetime) -> list[float]:
    """The features of a date, written out."""
    hour = day.hour + day.minute / 60 + day.second / 3600
    whole = datetime(day.year + 1, 1, 1) - datetime(day.year, 1, 1)
    year = day.year + (day - datetime(day.year, 1, 1)) / whole
    return [year, *circle((day.month - 1) / 12), *circle(day.weekday() / 7), *circle(hour / 24)]


@pytest.mark.parametrize("days", DATE_FORMATS)
@pytest.mark.parametrize("time", [" %H:%M", "T%H:%M:%S", " %H:%M:%S.%f", "T%H:%M:%SZ", " %H:%M+02:00"])
def test_a_date_is_seven_numbers_however_it_is_written(days: str, time: str) -> None:
    made = table([day.strftime(days + time) for day in MOMENTS])
    [date, _] = made.schema.inputs
    assert (date.format, date.parts, date.offset) == (days, DATE_PARTS, 2025)
    np.testing.assert_allclose(
        made.x[:, :7].astype(float) + made.schema.offsets[:7],
        [parts(day - timedelta(hours=2 if "+02" in time else 0)) for day in MOMENTS],  # in UTC
        atol=1e-5,
    )


def test_parts_that_do_not_vary_are_left_out() -> None:
    days = [datetime(2024, 1, 1) + timedelta(days=i) for i in range(30)]
    assert table(days).schema.inputs[0].parts == ("year", "weekday_sin", "weekday_cos")


def test_ambiguous_day_and_month_are_refused() -> None:
    cells = [f"0{1 + i % 9}/0{1 + i % 5}/2020" for i in range(30)]
    remedy = r"declare data\.columns\.a=%d/%m/%Y or, if the month comes first, data\.columns\.a=%m/%d/%Y"
    with pytest.raises(UserError, match=remedy):
        table(cells)
    month_first = table(cells, "%m/%d/%Y").x[:, 0]
    assert not np.array_equal(month_first, table(cells, "%d/%m/%Y").x[:, 0])


def survives_json(schema: Schema) -> bool:
    return Schema.from_plain(json.loads(json.dumps(schema.plain()))) == schema


def test_a_schema_survives_json() -> None:
    columns = {
        "cat": [["p", "q", "r"][i % 3] for i in range(30)],
        "bool": [None, *[bool(i % 2) for i in range(29)]],
        "date": [day.strftime("%d.%m.%Y %H:%M") for day in MOMENTS],
        "left": ["x"] * 30,
        "y": [*range(29), None],
        "z": range(30),
        "w": range(30),
    }
    frame, targets = pl.DataFrame(columns, strict=False), ["y", "z"]
    schema = table_of(frame, targets, weight="w", na_values=("?",), drop_missing_targets=True).schema
    assert survives_json(schema)
    assert (schema.names, schema.targets, schema.weight) == (["cat", "bool", "date"], ("y", "z"), "w")
    assert len(schema.category_counts) == len(schema.missing) == len(schema.offsets) == 9


@pytest.mark.parametrize(
    ("target", "classes", "kind", "task"),
    [
        (["b", "a"], ("a", "b"), "text", "binary"),
        ([2, 1], ("1", "2"), "number", "binary"),
        ([True, False], ("false", "true"), "boolean", "binary"),
        (["c", "b", "a"], ("a", "b", "c"), "text", "multiclass"),
        ([0.5, 1.5, 2.5], (), "text", "regression"),
    ],
)
def test_a_schema_with_classes_survives_json(
    target: list[object], classes: tuple[str, ...], kind: str, task: str
) -> None:
    schema = table_of(pl.DataFrame({"x": range(30), "y": target * (30 // len(target))})).schema
    assert survives_json(schema)
    assert (schema.classes, schema.class_kind, schema.task) == (classes, kind, task)
    assert schema.outputs == (len(classes) or 1)


def test_a_damaged_schema_is_named_in_a_line() -> None:
    plain = table([1, 2]).schema.plain()
    with pytest.raises(ValueError, match=r"^schema\.inputs\.0\.kind: .*'numeric'.*$"):
        Schema.from_plain({**plain, "inputs": [{"name": "a", "kind": "words"}]})


def test_a_missing_number_is_recognised_in_any_spelling() -> None:
    text = ["-999.0" if row % 5 == 0 else f" {row}" if row % 7 == 0 else str(row) for row in range(30)]
    for cells in (text, [float(cell) for cell in text]):
        assert np.isnan(table(cells, na_values=("-999",)).x[:, 0]).sum() == 6
    transformer = FrameTransformer(
        table(text, na_values=("-999",)).schema, "t", np.float32, decimal_comma=False
    )
    assert np.isnan(transformer.features(pl.DataFrame({"a": ["-999.00"], "x": [1]}))[:, 0]).all()


@pytest.mark.parametrize(("first", "declared"), [(1998, ""), (1940, ""), (1969, ""), (1935, "%d.%m.%y")])
def test_years_of_two_digits_give_a_warning_and_are_read_the_same_later(
    first: int, declared: str, caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("mlplab").propagate = True
    cells = [f"{1 + row % 28:02}.03.{(first + row) % 100:02}" for row in range(30)]
    made = table(cells, declared)
    [date, _] = made.schema.inputs
    assert date.format == "%d.%m.%y"
    years = np.floor(made.x[:, 0].astype(float) + date.offset)
    assert years.tolist() == [*range(first, first + 30)]
    assert (
        f"are read as 1930 to 2029, here from {first} to {first + 29}; if that is wrong, use" in caplog.text
    )
    later = FrameTransformer(Schema.from_plain(made.schema.plain()), "new", np.float32, decimal_comma=False)
    x = later.features(pl.DataFrame({"a": cells, "x": [row // 2 for row in range(30)]}))
    np.testing.assert_array_equal(x, made.x)


def test_years_on_both_sides_of_their_century_are_refused() -> None:
    with pytest.raises(UserError, match=r"years are ambiguous.*\n  use four-digit years; or data"):
        table([f"{1 + row % 28:02}.03.{15 + row:02}" for row in range(30)])


@pytest.mark.parametrize(
    ("cells", "date_format", "first"),
    [
        (["6-Aug-09", "16-Aug-71"], "%d-%b-%y", datetime(2009, 8, 6)),
        (["1960 Jan", "1961 Dec"], "%Y %b", datetime(1960, 1, 1)),
        (["1970 Q3", "1971 Q4"], "%Y Q%q", datetime(1970, 7, 1)),
        (["1991 W06", "1992 W53"], "%G W%V", datetime(1991, 2, 4)),
        (["Mar-2018", "Oct-1975"], "%b-%Y", datetime(2018, 3, 1)),
        (["Mar-18", "Oct-75"], "%b-%y", datetime(2018, 3, 1)),
        (["March 2018", "Oct 1975"], "%B %Y", datetime(2018, 3, 1)),
        (["02:55:10", "14:05:59"], "%H:%M:%S", datetime(1, 1, 1, 2, 55, 10)),
        (["2:55", "13:30"], "%H:%M", datetime(1, 1, 1, 2, 55)),
        (["2:55 p.m.", "5:00 a.m.", "11:00 PM"], "%I:%M %p", datetime(1, 1, 1, 14, 55)),
        (["May", "jan", "Sept.", "December"], "%B", datetime(2001, 5, 1)),
        (["Thurs", "mon", "SUNDAY"], "%A", datetime(2024, 2, 1)),
    ],
)
@pytest.mark.parametrize("is_declared", [False, True])
def test_other_dates_and_times(
    cells: list[str], date_format: str, first: datetime, is_declared: bool
) -> None:
    made = table(cells, date_format if is_declared else "")
    [date, _] = made.schema.inputs
    assert (date.kind, date.format) == ("date", date_format)
    expected = dict(zip(DATE_PARTS, parts(first), strict=True))
    found = made.x[0, : date.width].astype(float) + made.schema.offsets[: date.width]
    np.testing.assert_allclose(found, [expected[part] for part in date.parts], atol=1e-5)


@pytest.mark.parametrize(
    ("cells", "parts"),
    [(["Mon", "Tue", "Wed"], "weekday"), (["Jan", "May", "Mar"], "month"), (["1:30", "2:00"], "hour")],
)
def test_names_and_times_of_day_are_places_in_a_circle(cells: list[str], parts: str) -> None:
    assert table(cells).schema.inputs[0].parts == (f"{parts}_sin", f"{parts}_cos")
    assert table([*cells, "other"]).schema.inputs[0].kind == "categorical"
    if parts == "hour":
        with pytest.raises(UserError, match=r"'\?'.*\n.*data.na_values"):
            table([*cells, "?"])


def test_names_after_the_sample_decide() -> None:
    cells = ["May", "June", "July"] * 2000
    for last, kind in (("May", "date"), ("all year", "categorical")):
        frame = pl.DataFrame({"a": [*cells, last], "y": range(6001)})
        assert table_of(frame).schema.inputs[0].kind == kind


def test_months_of_a_target_are_classes() -> None:
    frame = pl.DataFrame({"y": ["Jan", "Feb", "Mar"] * 10, "x": range(30)})
    assert table_of(frame).schema.classes == ("Feb", "Jan", "Mar")


def test_numbers_that_look_like_dates_give_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("mlplab").propagate = True
    days = [int(f"{day:%Y%m%d}") for day in MOMENTS]
    frame = pl.DataFrame(
        {"day": days, "id": [20231100 + row // 2 for row in range(30)], "y": [0, *range(29)]}
    )
    for numbers in (frame, frame.cast({"day": pl.String, "id": pl.String})):
        assert table_of(numbers).schema.inputs[0].kind == "numeric"
        [message] = [text for text in caplog.messages if "dates" in text]
        assert message == (
            "t: column 'day': its numbers look like dates, such as 20231103; "
            "if they are: data.columns.day=%Y%m%d"
        )
        caplog.clear()
        made = table_of(numbers, declared={"day": "%Y%m%d"})
        assert made.schema.inputs[0].kind == "date"
        assert not caplog.text
        for cells in (days, [float(day) for day in days], [str(day) for day in days]):  # floats with nulls
            x = FrameTransformer(made.schema, "new", np.float32, decimal_comma=False).features(
                frame.with_columns(pl.Series("day", cells))
            )
            np.testing.assert_array_equal(x, made.x)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Asia/Kolkata"])
def test_moments_with_a_zone_are_the_same_in_text_and_in_a_frame(zone: str) -> None:
    zoned = pl.Series(MOMENTS).dt.replace_time_zone(zone)
    text = zoned.dt.strftime("%Y-%m-%dT%H:%M:%S%:z").to_list()
    np.testing.assert_array_equal(table(zoned.to_list()).x, table(text).x)


def test_a_whole_number_is_the_same_category_with_and_without_a_point() -> None:
    made = table(["0.0", "1.0", "2.0"], "categorical")
    assert made.schema.inputs[0].categories == ("0", "1", "2")
    transformer = FrameTransformer(made.schema, "t", np.float32, decimal_comma=False)
    for cell in ("2", 2, 2.0, "2.0"):
        assert transformer.features(pl.DataFrame({"a": [cell], "x": [1]}))[0, 0] == 2


def test_a_declared_kind_means_the_same_for_numbers() -> None:
    assert table([20240131, 20240229, 20240301], "%Y%m%d").schema.inputs[0].kind == "date"
    for kind, cells, message in (
        ("%Y%m%d", [20240131, 20240132], "is not a date"),
        ("boolean", [0, 1, 7], "is neither true nor false"),
    ):
        with pytest.raises(UserError, match=message):
            table(cells, kind)


def test_an_invalid_date_format_is_refused() -> None:
    with pytest.raises(UserError, match=r"%Y-%m-%d %H'?: is not a date format"):
        table(["2024-01-31 10"], "%Y-%m-%d %H")
    with pytest.raises(UserError, match=r"%Q.*: is not a date format"):
        table(["31.01.2024"], "%Q or %d.%m.%Y")
    for code in (
        "%Y-%m-%dT%H:%M:%S%.f%#z",
        "%+",
        "%s",
        "%Y Q%q",
        "%G W%V",
        "%e %h %C%y",
        "%Y-%j %Z",
        "%x %X",
    ):
        known_kind("t", code, pl.String())


def test_each_column_has_a_row() -> None:
    inputs = (
        Column("n", "numeric", missing=True),
        Column("c", "categorical", categories=tuple("abcdefghijklm")),
        Column("d", "date", format="%d.%m.%Y", parts=("year", "month_sin")),
    )
    schema = Schema(inputs, ("y",), classes=("no", "yes"), weight="w", left_out={"id": "is an index"})
    assert list(column_rows(schema)) == [
        ("y", "target", "classes", "2 classes: no, yes"),
        ("w", "weight", "numeric", ""),
        ("n", "input", "numeric", "has missing values"),
        ("c", "input", "categorical", "13 categories: a, b, c, d, e, f, g, h, i, j, k, l, … (13 in all)"),
        ("d", "input", "date", "format %d.%m.%Y; read as year, month_sin"),
        ("id", "left out", "", "is an index"),
    ]
    assert next(column_rows(Schema((), ("y",)))) == ("y", "target", "numeric", "")
