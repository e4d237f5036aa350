"""A column of a table: how its cells are read, what they contain, and what is inferred from that."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import inf

import numpy as np
import polars as pl
from jaxtyping import Float

from mlplab.data.cells.dates import parts_of
from mlplab.data.cells.number_formats import count_unsigned
from mlplab.data.cells.parse import (
    NO_ROWS,
    Kind,
    bad_cells,
    codes_of,
    has_nan,
    parse_str,
)
from mlplab.data.infer.infer_kind import InferredKind
from mlplab.data.infer.table_spec import Role
from mlplab.data.schema import ClassKind, Column
from mlplab.errors import Fault


@dataclass
class InferredColumn:
    """A column in a role. An input that the split also needs has two of these.

    Attributes:
        kind: the kind that users see.
        definition: how its cells are read, text as categories; once inferred, an input of the schema.
        declared: whether the user, the type or the role decides the kind.
        certain: whether cells of a different kind are mistakes, rather than a sign that the kind is wrong.
        location: the position of its features in the matrix that it is read into.
        filled: number of cells of the kind.
        missing: number of empty cells.
        bad: number of all other cells, which become infinite.
        unsigned: number of filled cells but 0 that lack the sign of its format.
        first_bad: the row and the text of the first bad cell.
        bad_texts: the distinct texts of bad cells, without surrounding spaces.
        low: the smallest value of each feature, before rounding to float32.
        high: the largest value of each feature, before rounding to float32.
        codes: for text, an empty series whose type stores the code of each text. polars forgets the codes
            with the last series of a type.
        keep: the features of the input: of a date, those that vary.
        left_out: why it is not an input.
        faults: why training refuses it.
        sentinels: numbers that may stand for missing values, with their counts.
        note: what may be wrong with it.
        classes: the classes of a target in order, and the number of rows of each; none if it is numbers.
        class_kind: what the classes are in the table.
    """

    name: str
    role: Role
    kind: InferredKind
    declared: bool = True
    certain: bool = True
    location: slice = field(default_factory=lambda: slice(0))
    filled: int = 0
    missing: int = 0
    bad: int = 0
    unsigned: int = 0
    first_bad: tuple[int, str] = (0, "")
    bad_texts: pl.Series = field(default_factory=partial(pl.Series, dtype=pl.String))
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)
    codes: pl.Series | None = None
    keep: Sequence[int] = (0,)
    left_out: str = ""
    faults: list[Fault] = field(default_factory=list)
    sentinels: Mapping[str, int] = field(default_factory=dict)
    note: str = ""
    classes: Mapping[str, int] = field(default_factory=dict)
    class_kind: ClassKind = "text"

    def __post_init__(self) -> None:
        self.definition = Column(self.name, "categorical")

    def read_as(self, kind: Kind, cell_format: str = "") -> None:
        """Sets how the cells are read."""
        self.kind, offset = kind, self.definition.offset
        parts = parts_of(cell_format) if kind == "date" else ()
        self.definition = Column(self.name, kind, offset=offset, format=cell_format, parts=parts)

    def use_as(self, kind: Kind, categories: Iterable[str] = ()) -> None:
        """Makes a column of text an input of this kind."""
        self.kind = kind
        self.definition = Column(self.name, kind, self.missing > 0, categories=tuple(categories))

    @property
    def is_input(self) -> bool:
        """Whether the column is an input of the network."""
        return self.role == "input" and not self.left_out and not self.bad

    @property
    def texts(self) -> pl.Series | None:
        """The distinct texts in order of their codes; None if the column is not read as text."""
        if self.codes is None:
            return None
        assert isinstance(self.codes.dtype, pl.Categorical)
        return self.codes.dtype.categories.to_series()

    @property
    def range(self) -> tuple[float, float] | None:
        """The smallest and the largest number, or year, in the column's units."""
        has_no_range = self.definition.kind == "date" and "year" not in self.definition.parts
        if not self.filled or self.codes is not None or self.role == "time" or has_no_range:
            return None
        return self.low[0] + self.definition.offset, self.high[0] + self.definition.offset

    def rounded(self, dtype: type[np.floating]) -> Float[np.ndarray, "2 feature"]:
        """The smallest and the largest value of each feature in the precision of a matrix."""
        with np.errstate(over="ignore"):
            return np.array([self.low, self.high]).astype(dtype)

    def reset(self, start: int) -> int:
        """Prepares for reading from the first row into the columns of a matrix; returns where these end."""
        width = 1 if self.role == "time" else self.definition.width
        self.location = slice(start, start + width)
        self.filled = self.missing = self.bad = self.unsigned = 0
        self.bad_texts = self.bad_texts.clear()
        self.low, self.high = [inf] * width, [-inf] * width
        self.codes = None
        if self.definition.kind == "categorical":
            self.codes = pl.Series(dtype=pl.Categorical(pl.Categories.random()))
        return self.location.stop

    def read(
        self, cells: pl.Series, start: int, na_values: Collection[str], *, decimal_comma: bool
    ) -> list[pl.Series]:
        """The features of a block of cells, from row `start`, as Float64; counts what the cells contain.

        Bad cells are infinite, unlike missing ones.
        """
        bad, definition = NO_ROWS, self.definition
        if self.codes is not None:
            features = [codes_of(cells, na_values, self.codes.dtype)]
        else:
            values = definition.parse(cells, na_values, decimal_comma=decimal_comma)
            bad = bad_cells(cells, values, na_values, definition.kind)
            values = values.scatter(bad, None) if len(bad) else values
            if self.kind == "numeric":
                self.unsigned += count_unsigned(cells, na_values, definition.format)
            is_time = self.role == "time" and definition.kind == "date"
            features = [values.to_physical().cast(pl.Float64)] if is_time else definition.features(values)
        empty = features[0].null_count()
        empty += int(features[0].is_nan().sum()) if has_nan(features[0]) else 0
        self.filled += len(cells) - empty
        self.missing += empty - len(bad)
        for feature, values in enumerate(features):
            low, high = values.min(), values.max()
            if isinstance(low, float) and isinstance(high, float):
                self.low[feature] = min(self.low[feature], low)
                self.high[feature] = max(self.high[feature], high)
        if len(bad):
            self.first_bad = self.first_bad if self.bad else (start + bad[0], str(cells[bad[0]]))
            texts = parse_str(cells.gather(bad), na_values)
            self.bad_texts = pl.concat([self.bad_texts, texts]).unique(maintain_order=True)
            self.bad += len(bad)
            features[0] = features[0].scatter(bad, inf)
        return features
