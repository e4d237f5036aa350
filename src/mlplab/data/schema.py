"""What the columns mean: their kinds, from the whole table but never from its target."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from math import pi
from typing import Any, Literal

import polars as pl

from mlplab.data.dates import LAST_YEAR, parse_datetime
from mlplab.data.parse import Form, by_distinct, parse_bool, parse_float, parse_str

Kind = Literal["numeric", "boolean", "categorical", "date"]
"""Of an input."""

FORMS: Mapping[Kind, Form] = {"numeric": "number", "boolean": "boolean", "date": "date"}
"""What the cells of a kind of column are read as, but for categories."""

Part = Literal["year", "month_sin", "month_cos", "weekday_sin", "weekday_cos", "hour_sin", "hour_cos"]
"""Of a date: the year with the day as its fraction, and places on the circles of year, week and day."""

DATE_PARTS: tuple[Part, ...] = (
    "year",
    "month_sin",
    "month_cos",
    "weekday_sin",
    "weekday_cos",
    "hour_sin",
    "hour_cos",
)


@dataclass(frozen=True)
class Column:
    """An input column, and how it becomes features: one, or of a date one a part.

    Attributes:
        missing: whether a value is missing anywhere in the table.
        offset: is taken off a number or a year in float64, before anything is rounded to float32. It keeps
            the digits of columns whose values are large beside their spread; nothing else depends on it.
        categories: of a categorical column; a value's place among them is its code.
        format: how a date that is text is written.
        last_year: of a date, the last of the hundred years that two digits may mean.
        parts: of a date, those that vary.
    """

    name: str
    kind: Kind
    missing: bool = False
    offset: float = 0.0
    categories: tuple[str, ...] = ()
    format: str = ""
    last_year: int = LAST_YEAR
    parts: tuple[Part, ...] = ()

    def parse(
        self, cells: pl.Series, na_values: Collection[str], *, decimal_comma: bool = False
    ) -> pl.Series:
        """Its cells in some frame: dates as Datetime, codes of categories and others as Float64.

        Args:
            na_values: words for a missing value, beside the usual ones.
            decimal_comma: text has one.
        """
        if self.kind == "categorical":
            return by_distinct(partial(self._codes, na_values=na_values), cells)
        form, date_format, last_year = FORMS[self.kind], self.format, self.last_year
        return parse(cells, na_values, form, decimal_comma, date_format, last_year)

    def features(self, parsed: pl.Series) -> list[pl.Series]:
        """Its features as Float64, out of its parsed cells; null or NaN is missing."""
        if self.kind == "categorical":
            return [parsed]
        return features_of(parsed, FORMS[self.kind], self.offset, self.parts)

    def _codes(self, text: pl.Series, na_values: Collection[str]) -> pl.Series:
        codes = pl.Series(range(len(self.categories)), dtype=pl.Float64)
        return parse_str(text, na_values).replace_strict(list(self.categories), codes, default=None)

    @property
    def width(self) -> int:
        """How many features it has."""
        return len(self.parts) if self.kind == "date" else 1


def parse(
    cells: pl.Series,
    na_values: Collection[str],
    form: Form,
    decimal_comma: bool,
    date_format: str,
    last_year: int,
) -> pl.Series:
    """Cells that are no text, alike in training and in prediction: dates as Datetime, others as Float64."""
    match form:
        case "number":
            return parse_float(cells, na_values, decimal_comma=decimal_comma)
        case "boolean":
            return parse_bool(cells, na_values)
        case "date":
            return parse_datetime(cells, na_values, date_format, last_year)


def features_of(values: pl.Series, form: Form, offset: float, parts: Sequence[Part]) -> list[pl.Series]:
    """What the network sees of a parsed column, as Float64.

    Args:
        offset: is taken off numbers and years.
        parts: of a date.
    """
    if form == "date":
        return date_parts(values, parts, offset)
    return [values - offset] if form == "number" else [values]


def date_parts(dates: pl.Series, parts: Sequence[Part], offset: float) -> list[pl.Series]:
    """Parts of dates as Float64; of the year with the offset off."""
    seconds = dates.dt.minute().cast(pl.Float64) * 60 + dates.dt.second().cast(pl.Float64)
    hour = dates.dt.hour().cast(pl.Float64) + seconds / 3600
    found = []
    for part in parts:
        circle, _, function = part.partition("_")
        match circle:
            case "year":
                days = 365 + dates.dt.is_leap_year().cast(pl.Float64)
                day = dates.dt.ordinal_day().cast(pl.Float64) - 1 + hour / 24
                found.append((dates.dt.year().cast(pl.Float64) - offset) + day / days)
                continue
            case "month":
                turn = (dates.dt.month().cast(pl.Float64) - 1) / 12
            case "weekday":
                turn = (dates.dt.weekday().cast(pl.Float64) - 1) / 7
            case _:
                turn = hour / 24
        angle = turn * 2 * pi
        found.append(angle.sin() if function == "sin" else angle.cos())
    return found


@dataclass(frozen=True)
class Schema:
    """The input columns in the table's order, and what else is read of it.

    Attributes:
        targets: the columns to predict; they have no offset and stay float64 until each member's own
            statistics are taken off.
        weight: the column of row weights.
        na_values: words for a missing value, beside the usual ones.
        left_out: columns that are no inputs, and why.
    """

    inputs: tuple[Column, ...]
    targets: tuple[str, ...]
    weight: str | None = None
    na_values: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Schema":
        """What `plain` gave."""
        inputs = (
            Column(**{**each, "categories": tuple(each["categories"]), "parts": tuple(each["parts"])})
            for each in plain["inputs"]
        )
        rest = {name: plain[name] for name in ("weight", "left_out")}
        return cls(tuple(inputs), tuple(plain["targets"]), na_values=tuple(plain["na_values"]), **rest)

    def plain(self) -> dict[str, Any]:
        """As strings, numbers, lists and dicts."""
        columns = [asdict(column) for column in self.inputs]
        for column in columns:
            column |= {"categories": list(column["categories"]), "parts": list(column["parts"])}
        return {
            "inputs": columns,
            "targets": list(self.targets),
            "weight": self.weight,
            "na_values": list(self.na_values),
            "left_out": dict(self.left_out),
        }

    @property
    def names(self) -> list[str]:
        """The input columns' names."""
        return [column.name for column in self.inputs]

    @property
    def categories(self) -> tuple[int, ...]:
        """Of each feature, how many categories it has; 0 for a number."""
        return tuple(len(column.categories) for column in self._by_feature())

    @property
    def missing(self) -> tuple[bool, ...]:
        """Of each feature, whether a value is missing anywhere in the table."""
        return tuple(column.missing for column in self._by_feature())

    @property
    def offsets(self) -> Sequence[float]:
        """Of each feature, what is taken off its values."""
        return [
            column.offset if column.kind == "numeric" or part == "year" else 0.0
            for column in self.inputs
            for part in (column.parts or ("",))
        ]

    def _by_feature(self) -> Iterator[Column]:
        return (column for column in self.inputs for _ in range(column.width))
