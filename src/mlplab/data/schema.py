"""What the columns mean: their kinds, from the whole table but never from its target."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import pi
from typing import Any, Literal

import polars as pl

from mlplab.data.cells import DataType, Form, moments, numbers, truths, words

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
        parts: of a date, those that vary.
    """

    name: str
    kind: Kind
    missing: bool = False
    offset: float = 0.0
    categories: tuple[str, ...] = ()
    format: str = ""
    parts: tuple[Part, ...] = ()

    def features(self, dtype: DataType, marks: Collection[str], *, comma: bool = False) -> list[pl.Expr]:
        """Its features as Float64 columns of a frame where it has the type `dtype`; null or NaN is missing.

        Args:
            marks: words for a missing value, beside the usual ones.
            comma: text has a decimal comma.
        """
        if self.kind == "categorical":
            codes = pl.Series(range(len(self.categories)), dtype=pl.Float64)
            text = words(self.name, dtype, marks)
            return [text.replace_strict(list(self.categories), codes, default=None)]
        form, offset, parts = FORMS[self.kind], self.offset, self.parts
        return values(
            self.name, dtype, marks, form, comma=comma, days=self.format, offset=offset, parts=parts
        )

    @property
    def width(self) -> int:
        """How many features it has."""
        return len(self.parts) if self.kind == "date" else 1


def values(
    name: str,
    dtype: DataType,
    marks: Collection[str],
    form: Form,
    *,
    comma: bool,
    days: str,
    offset: float,
    parts: Sequence[Part],
) -> list[pl.Expr]:
    """A column that is no text as Float64 columns, alike in training and in prediction.

    Args:
        offset: is taken off numbers and years.
        parts: of a date.
    """
    match form:
        case "number":
            return [numbers(name, dtype, marks, comma=comma) - offset]
        case "boolean":
            return [truths(name, dtype, marks)]
        case "date":
            moment = moments(name, dtype, marks, days)
            return [date_part(moment, part, offset) for part in parts]


def date_part(moment: pl.Expr, part: Part, offset: float) -> pl.Expr:
    """A part of a date as Float64; of a year with the offset off."""
    seconds = moment.dt.minute().cast(pl.Float64) * 60 + moment.dt.second().cast(pl.Float64)
    hour = moment.dt.hour().cast(pl.Float64) + seconds / 3600
    if part == "year":
        days = 365 + moment.dt.is_leap_year().cast(pl.Float64)
        day = moment.dt.ordinal_day().cast(pl.Float64) - 1 + hour / 24
        return (moment.dt.year().cast(pl.Float64) - offset) + day / days
    turns = {
        "month": (moment.dt.month().cast(pl.Float64) - 1) / 12,
        "weekday": (moment.dt.weekday().cast(pl.Float64) - 1) / 7,
        "hour": hour / 24,
    }
    circle, _, function = part.partition("_")
    angle = turns[circle] * 2 * pi
    return angle.sin() if function == "sin" else angle.cos()


@dataclass(frozen=True)
class Schema:
    """The input columns in the table's order, and what else is read of it.

    Attributes:
        targets: the columns to predict; they have no offset and stay float64 until each member's own
            statistics are taken off.
        weight: the column of row weights.
        marks: words for a missing value, beside the usual ones.
        left_out: columns that are no inputs, and why.
    """

    inputs: tuple[Column, ...]
    targets: tuple[str, ...]
    weight: str | None = None
    marks: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Schema":
        """What `plain` gave."""
        inputs = (
            Column(**{**each, "categories": tuple(each["categories"]), "parts": tuple(each["parts"])})
            for each in plain["inputs"]
        )
        rest = {name: plain[name] for name in ("weight", "left_out")}
        return cls(tuple(inputs), tuple(plain["targets"]), marks=tuple(plain["marks"]), **rest)

    def plain(self) -> dict[str, Any]:
        """As strings, numbers, lists and dicts."""
        columns = [asdict(column) for column in self.inputs]
        for column in columns:
            column |= {"categories": list(column["categories"]), "parts": list(column["parts"])}
        return {
            "inputs": columns,
            "targets": list(self.targets),
            "weight": self.weight,
            "marks": list(self.marks),
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
