"""The inputs of a model: the columns of a table, of which it makes features as the schema does."""

import re
from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import polars as pl
from jaxtyping import Float64

from mlplab.data.cells.dates import CLOCK_FORMATS, NAME_FORMATS
from mlplab.data.cells.parse import numbers_among, parse_str
from mlplab.data.schema import Column, Schema
from mlplab.errors import listed, shortened
from mlplab.onnx.dates import ALIKE, date_parts
from mlplab.onnx.graph import DType, Graph, Value

NO_DATE = np.iinfo(np.int64).min
"""A missing date: the integer that numpy has for NaT."""

NAMES = [*ALIKE["month"].dt.strftime("%B"), *ALIKE["weekday"].dt.strftime("%A")]
"""Months, and days of the week."""


EPOCH = "1970-01-01 00:00 (UTC, if there are time zones)"

OF_NAMES = {"%B": "month", "%A": "day of the week"}
"""What the names of a format are."""

MOST_CATEGORIES = 20
"""The most categories that a description lists."""


class Features(NamedTuple):
    """The features of each row.

    Args:
        numbers: `[row, 1]` each, in float64 and without offsets; NaN is missing.
        codes: of categorical columns, `[row]` each; the number of categories is missing or unknown.
    """

    numbers: Sequence[Value]
    codes: Sequence[Value]


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
            since = "midnight" if column.format in CLOCK_FORMATS else EPOCH
            table = f", in the table written as {column.format}" if column.format else ""
            return f"microseconds since {since}{table}; {NO_DATE} is missing"


def as_input(column: Column, cells: pl.Series, schema: Schema, *, decimal_comma: bool) -> np.ndarray:
    """Cells of a table as a model takes them."""
    kind = input_type(column)
    if kind is object:
        return parse_str(cells, schema.na_values).fill_null("").to_numpy().astype(object)
    parsed = column.parse(cells, schema.na_values, decimal_comma=decimal_comma)
    return parsed.cast(pl.Int64).fill_null(NO_DATE).to_numpy() if kind is np.int64 else parsed.to_numpy()


def features_of(graph: Graph, schema: Schema) -> Features:
    """Adds an input for each column, and what makes features of it."""
    inputs = [graph.input(column.name, input_type(column), meaning_of(column)) for column in schema.inputs]
    numbers, codes = list[Value](), list[Value]()
    for column, value in zip(schema.inputs, inputs, strict=True):
        match column.kind:
            case "numeric":
                for number in numbers_among(schema.na_values):
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
                numbers += date_parts(value, column.parts, column.offset, missing=NO_DATE)
    return Features(numbers, codes)


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
    lengths, endings = (3, 4, None), ("", ".")
    written = {name[:length] + ending for name, length, ending in product(NAMES, lengths, endings)}
    fitting = [name for name in written if re.match(NAME_FORMATS[column.format], name)]
    names = sorted({case for name in fitting for case in (name, name.lower(), name.upper())})
    return names, np.column_stack(column.features(column.parse(pl.Series(names), (), decimal_comma=False)))
