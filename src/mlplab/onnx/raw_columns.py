"""The inputs of a model: the columns of a table, of which it makes features as the schema does."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import product
from math import pi

import numpy as np
import polars as pl
from jaxtyping import Float64

from mlplab.data.cells.dates import CLOCK_FORMATS, NAME_FORMATS, DatePart
from mlplab.data.cells.dates import date_parts as parts_of_dates
from mlplab.data.cells.parse import cells_of, numbers_among, parse_str
from mlplab.data.schema import Column, Schema
from mlplab.errors import listed, shortened
from mlplab.onnx.graph import DType, Graph, Value

# A missing date: the integer that numpy has for NaT.
NO_DATE = np.iinfo(np.int64).min

SECOND, DAY = 1_000_000, 86_400_000_000  # in microseconds

# From the first of January of a year before all that microseconds reach: no day has a negative number.
FIRST_YEAR, DAYS_TO_1970 = -400_000, 719_528 + 1000 * 146_097

MONDAY = datetime(2001, 1, 1)

# Dates with all values of parts that occur often: of the hour, those at whole minutes.
ALIKE = {
    "month": pl.Series([MONDAY.replace(month=month) for month in range(1, 13)]),
    "weekday": pl.Series([MONDAY + timedelta(days=day) for day in range(7)]),
    "hour": pl.Series([MONDAY + timedelta(minutes=minute) for minute in range(24 * 60)]),
}

NAMES = [*ALIKE["month"].dt.strftime("%B"), *ALIKE["weekday"].dt.strftime("%A")]

OF_NAMES = {"%B": "month", "%A": "day of the week"}

MOST_CATEGORIES = 20  # that a description lists


def input_type(column: Column) -> DType:
    """The type in which a model takes a column: float64, int64 of dates, or `object` of text."""
    if column.categories or column.format in NAME_FORMATS:
        return object
    return np.int64 if column.kind == "date" else np.float64


def meaning_of(column: Column) -> str:
    """What the input of a column is, for people."""
    values = listed(map(shortened, column.categories), MOST_CATEGORIES)
    match column.kind:
        case "numeric":
            written = f", without the signs and separators of {column.format}" if column.format else ""
            return f"a number{written}; NaN is missing"
        case "boolean":
            return "1 is true, 0 is false; NaN is missing"
        case "categorical":
            return f"one of {values}; any other text, such as an empty one, is missing"
        case "ordinal":
            return f"a level, from the lowest to the highest: {values}; any other text is missing"
        case "date" if column.format in NAME_FORMATS:
            return f"a {OF_NAMES[column.format]} in English; any other text is missing"
        case "date":
            epoch = "1970-01-01 00:00 (UTC, if there are time zones)"
            since = "midnight" if column.format in CLOCK_FORMATS else epoch
            table = f", in the table written as {column.format}" if column.format else ""
            return f"microseconds since {since}{table}; {NO_DATE} is missing"


def model_inputs(schema: Schema, frame: pl.DataFrame, *, decimal_comma: bool) -> dict[str, np.ndarray]:
    """The rows of a frame as inputs of a model."""
    inputs = dict[str, np.ndarray]()
    for column in schema.inputs:
        cells, kind = cells_of(frame, column.name), input_type(column)
        na_values = schema.na_values_of(column.name)
        if kind is object:
            values = parse_str(cells, na_values).fill_null("").to_numpy().astype(object)
        else:
            parsed = column.parse(cells, na_values, decimal_comma=decimal_comma)
            parsed = parsed.cast(pl.Int64).fill_null(NO_DATE) if kind is np.int64 else parsed
            values = parsed.to_numpy()
        inputs[column.name] = values
    return inputs


def features_of(graph: Graph, schema: Schema) -> tuple[list[Value], list[Value]]:
    """Adds an input for each column, and what makes features of it.

    Returns:
        Numbers, `[row, 1]` each, in float64 and without offsets, of which NaN is missing; and of each
        categorical column the codes, `[row]`, of which the number of categories is missing or unknown.
    """
    inputs = [graph.input(column.name, input_type(column), meaning_of(column)) for column in schema.inputs]
    numbers, codes = list[Value](), list[Value]()
    for column, value in zip(schema.inputs, inputs, strict=True):
        match column.kind:
            case "numeric":
                for number in numbers_among(schema.na_values_of(column.name)):
                    value = value.equals(number).where(np.nan, value)
                numbers.append(value.unsqueeze(1) - column.offset)
            case "boolean":
                is_known = value.equals(0.0).op("Or", value.equals(1.0))
                numbers.append(is_known.where(value, np.nan).unsqueeze(1))
            case "categorical":
                codes.append(_code(value, column.categories))
            case "ordinal":
                numbers += _looked_up(value, column.categories, np.arange(len(column.categories))[:, None])
            case "date" if column.format in NAME_FORMATS:
                numbers += _looked_up(value, *_named_parts(column))
            case "date":
                numbers += date_parts(value, column.parts, column.offset)
    return numbers, codes


def _code(text: Value, keys: Sequence[str]) -> Value:
    """The place of each text among the keys; their number, if it is none."""
    lookup = {"keys_strings": [*keys], "values_int64s": [*range(len(keys))], "default_int64": len(keys)}
    return text.op("LabelEncoder", dtype=np.int64, domain="ai.onnx.ml", **lookup)


def _looked_up(text: Value, keys: Sequence[str], numbers: np.ndarray) -> list[Value]:
    """The numbers of each text, a column each; NaN if it is no key."""
    code, unknown = _code(text, keys), np.full((1, numbers.shape[1]), np.nan)
    return [text.graph.constant(each).gather(code).unsqueeze(1) for each in np.vstack([numbers, unknown]).T]


def _named_parts(column: Column) -> tuple[list[str], Float64[np.ndarray, "name part"]]:
    """The names that a column may have, as people write them, and the parts of each."""
    written = {name[:length] + end for name, length, end in product(NAMES, (3, 4, None), ("", "."))}
    fitting = [name for name in written if re.match(NAME_FORMATS[column.format], name)]
    names = sorted({case for name in fitting for case in (name, name.lower(), name.upper())})
    return names, np.column_stack(column.features(column.parse(pl.Series(names), (), decimal_comma=False)))


def date_parts(time: Value, parts: Sequence[DatePart], offset: float) -> list[Value]:
    """The parts of dates: `[row, 1]` each, with the bits of `mlplab.data.cells.dates.date_parts`.

    The bits matter where a value that occurs often is scaled by its rank. So sines are looked up: here, they
    may be rounded otherwise. Only those of times with seconds are computed.

    Args:
        time: `[row]`, in microseconds since 1970; NaN if it is `NO_DATE`.
    """
    of_day = time.op("Mod", DAY)
    day, second = (time - of_day) / DAY, of_day / SECOND
    hour = (second / 3600).cast(np.float64) + second.op("Mod", 3600).cast(np.float64) / 3600
    year, month, day_of_year, days_of_year = _calendar(day + DAYS_TO_1970)
    places = {"month": month, "weekday": (day + 3).op("Mod", 7), "hour": second / 60}
    is_whole, values = second.op("Mod", 60).equals(0), list[Value]()
    for part in parts:
        circle, _, function = part.partition("_")
        if circle == "year":
            since_january = day_of_year.cast(np.float64) + hour / 24
            value = (year.cast(np.float64) - offset) + since_january / days_of_year.cast(np.float64)
        else:
            [table] = parts_of_dates(ALIKE[circle], [part], 0.0)
            value = time.graph.constant(table.to_numpy()).gather(places[circle])
        if circle == "hour":
            value = is_whole.where(value, (hour / 24 * (2 * pi)).op(function.capitalize()))
        values.append(time.equals(NO_DATE).where(np.nan, value).unsqueeze(1))
    return values


def _calendar(day: Value) -> tuple[Value, Value, Value, Value]:
    """The year, the month and the day of the year, both from 0, and the number of days of the year.

    Of months as if February had 30 days (Reingold and Dershowitz, "Calendrical Calculations", section 2.2).

    Args:
        day: since `FIRST_YEAR`.
    """

    def start(year: Value) -> Value:
        return year * 365 + (year + 3) / 4 - (year + 99) / 100 + (year + 399) / 400

    latest = (day + 1) * 400 / 146_097  # this year, or the next
    year = latest - (start(latest) > day).cast(np.int64)
    day_of_year, days_of_year = day - start(year), start(year + 1) - start(year)
    left_out = (day_of_year >= days_of_year - 306).where(days_of_year * -1 + 367, 0)
    return year + FIRST_YEAR, ((day_of_year + left_out) * 12 + 6) / 367, day_of_year, days_of_year
