"""The kinds of the input columns, inferred from the whole table but never from its target; the classes."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, pairwise
from typing import Any, Literal

import polars as pl
from pydantic import ConfigDict, TypeAdapter, ValidationError

from mlplab.data.cells.dates import ISO, DatePart, date_parts, parse_datetime
from mlplab.data.cells.number_formats import parse_number
from mlplab.data.cells.parse import BAD_CELLS, Kind, codes_of, fault_of, parse_bool
from mlplab.errors import Fault, listed, shortened

Task = Literal["regression", "binary", "multiclass"]
"""What is predicted: numbers, one of two classes, or one of more classes."""

ClassKind = Literal["text", "number", "boolean"]
"""What classes are in a table: text, numbers, or values of a boolean column."""


@dataclass(frozen=True)
class Column:
    """An input column, and how its cells become features: several for a date, one for all other kinds.

    Attributes:
        missing: whether a value is missing anywhere in the table.
        offset: subtracted from a number or a year in float64, before rounding to float32, so that large
            values with a small spread keep their digits. Nothing else depends on it.
        categories: the categories of a categorical column, or the levels of an ordinal one from the lowest to
            the highest; a value's position is its code.
        format: the format of dates, or of numbers that are not plain, in text.
        parts: for dates, the parts that vary.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    name: str
    kind: Kind
    missing: bool = False
    offset: float = 0.0
    categories: tuple[str, ...] = ()
    format: str = ""
    parts: tuple[DatePart, ...] = ()

    def parse(self, cells: pl.Series, na_values: Collection[str], *, decimal_comma: bool) -> pl.Series:
        """Parses cells: dates become Datetime; all other kinds, including codes of categories, Float64."""
        match self.kind:
            case "numeric":
                return parse_number(cells, na_values, self.format, decimal_comma=decimal_comma)
            case "boolean":
                return parse_bool(cells, na_values)
            case "date":
                return parse_datetime(cells, na_values, self.format)
            case "categorical" | "ordinal":
                return codes_of(cells, na_values, pl.Enum(self.categories))

    def features(self, parsed: pl.Series) -> list[pl.Series]:
        """The features of parsed cells as Float64; null or NaN is missing."""
        if self.kind == "date":
            return date_parts(parsed, self.parts, self.offset)
        return [parsed - self.offset if self.kind == "numeric" else parsed]

    @property
    def has_offset(self) -> bool:
        """Whether its first feature may have an offset."""
        return self.kind == "numeric" or self.parts[:1] == ("year",)

    @property
    def width(self) -> int:
        """The number of features."""
        return len(self.parts) if self.kind == "date" else 1

    @property
    def expected(self) -> str:
        """What its cells are, for messages."""
        if self.categories:
            return f"one of {listed(map(shortened, self.categories), 5)}"
        return BAD_CELLS[self.kind][1] if self.format in ("", ISO) else f"one written as {self.format}"

    def fault(self, where: str, text: str, cells: int, remedy: str) -> Fault:
        """What is wrong with a number of bad cells, of which the first has this text."""
        what = fault_of(text.strip(), self.kind)
        expected = self.expected if what == BAD_CELLS[self.kind][0] else ""
        what += f"; {cells:,} such cells in this column" if cells > 1 else ""
        return Fault(what, where, shortened(text), expected, remedy)


@dataclass(frozen=True)
class Schema:
    """The input columns in the table's order, and the other columns that are read.

    Attributes:
        targets: the columns to predict. They have no offset and stay float64 until each member subtracts its
            own mean.
        classes: the classes of the target in order; a class's position is its number. Empty for regression.
        weight: the column of row weights.
        na_values: additional missing values of all columns.
        na_values_by_column: by name, further ones of a column.
        number_formats: by name, the formats of targets and weights that are not plain numbers.
        left_out: columns that are not inputs, and why.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")  # of a later version, which predictions may depend on

    inputs: tuple[Column, ...]
    targets: tuple[str, ...]
    classes: tuple[str, ...] = ()
    class_kind: ClassKind = "text"
    weight: str | None = None
    na_values: tuple[str, ...] = ()
    na_values_by_column: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    number_formats: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_plain(cls, plain: Mapping[str, object]) -> "Schema":
        """The inverse of `plain`.

        Raises:
            ValueError: if it is not one.
        """
        try:
            return PLAIN_SCHEMA.validate_python(plain)
        except ValidationError as error:
            first = error.errors()[0]
            raise ValueError(f"schema.{'.'.join(map(str, first['loc']))}: {first['msg']}") from error

    def plain(self) -> dict[str, Any]:
        """Converts the schema to strings, numbers, lists and dicts."""
        return PLAIN_SCHEMA.dump_python(self, mode="json")

    def na_values_of(self, name: str) -> tuple[str, ...]:
        """The additional missing values of a column."""
        return (*self.na_values, *self.na_values_by_column.get(name, ()))

    @property
    def outputs(self) -> int:
        """The number of a network's outputs: one for each class or target."""
        return len(self.classes) or len(self.targets)

    @property
    def task(self) -> Task:
        """What is predicted."""
        return ("binary" if len(self.classes) == 2 else "multiclass") if self.classes else "regression"

    @property
    def names(self) -> list[str]:
        """The input columns' names."""
        return [column.name for column in self.inputs]

    @property
    def features(self) -> list[tuple[Column, str]]:
        """The column of each feature, and of a date the part."""
        return [(column, part) for column in self.inputs for part in column.parts or ("",)]

    @property
    def category_counts(self) -> tuple[int, ...]:
        """The number of categories of each feature; 0 for a number, and for the rank of a level."""
        return tuple(len(column.categories) * (column.kind == "categorical") for column, _ in self.features)

    @property
    def missing(self) -> tuple[bool, ...]:
        """For each feature, whether a value is missing anywhere in the table."""
        return tuple(column.missing for column, _ in self.features)

    @property
    def offsets(self) -> Sequence[float]:
        """The offset that is subtracted from each feature."""
        return [of.offset if of.has_offset and part in ("", "year") else 0.0 for of, part in self.features]

    @property
    def column_offsets(self) -> dict[str, float]:
        """The offsets that are not 0, by the name of the column."""
        return {column.name: column.offset for column in self.inputs if column.offset}

    @property
    def without_offsets(self) -> "Schema":
        """The same columns, all with the offset 0."""
        return replace(self, inputs=tuple(replace(column, offset=0.0) for column in self.inputs))

    @property
    def feature_slices(self) -> list[slice]:
        """The features of each input column."""
        ends = [*accumulate(column.width for column in self.inputs)]
        return [slice(*ends_of_column) for ends_of_column in pairwise([0, *ends])]


PLAIN_SCHEMA = TypeAdapter(Schema)


def column_rows(schema: Schema) -> Iterator[tuple[str, str, str, str]]:
    """The name, role and kind of each column, and what its cells are or why it is left out."""
    kind = "classes" if schema.classes else "numeric"
    for target in schema.targets:
        yield target, "target", kind, _labels("classes", schema.classes)
    if schema.weight:
        yield schema.weight, "weight", "numeric", ""
    for column in schema.inputs:
        notes = (
            _labels("levels" if column.kind == "ordinal" else "categories", column.categories),
            column.format and f"format {column.format}",
            column.parts and f"read as {', '.join(column.parts)}",
            column.missing and "has missing values",
        )
        yield column.name, "input", column.kind, "; ".join(note for note in notes if note)
    for name, reason in schema.left_out.items():
        yield name, "left out", "", reason


def _labels(what: str, labels: tuple[str, ...]) -> str:
    named = f": {listed(labels)}" if len(labels) <= 20 else ""  # more of them may be names, as of people
    return f"{len(labels):,} {what}{named}" if labels else ""
