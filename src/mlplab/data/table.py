"""A table as numbers, on which networks are trained."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256

import numpy as np
import polars as pl
from jaxtyping import Float, Float64

from mlplab.data.leaks.row_keys import Keys, RowHasher, TableValues
from mlplab.data.schema import Schema
from mlplab.data.splits.split import Rows

FloatType = type[np.floating]  # the type of a matrix's numbers: NumPy's float32 or float64

BLOCK = 65_536  # rows that are read or converted at a time


@dataclass(frozen=True, eq=False)
class Table:
    """Rows of features.

    Attributes:
        source: how messages refer to the table.
        x: the features. Numbers are centred by their column's offset, categories are codes, NaN is missing.
        y: the targets in their own units, or the numbers of their classes; NaN if missing.
        weight: the weight of each row; None if all rows have the same weight.
        split_columns: the columns that the split needs, by role: `group` (a code for each group) and `time`;
            NaN if missing.
        rows: the rows with a target.
        identifiers: the columns that were left out as row numbers or identifiers, by which people find a row
            again; none of a table that is not in memory.
        warned: the warnings about it that the terminal has shown, which other stacks do not repeat.
    """

    source: str
    schema: Schema
    x: Float[np.ndarray, "row feature"]
    y: Float64[np.ndarray, "row target"]
    weight: Float64[np.ndarray, " row"] | None
    split_columns: Mapping[str, Float64[np.ndarray, " row"]]
    rows: Rows
    identifiers: pl.DataFrame = field(default_factory=pl.DataFrame)
    warned: set[str] = field(default_factory=set, init=False)
    _row_keys: dict[int, tuple[RowHasher, Keys]] = field(default_factory=dict, init=False)

    @cached_property
    def fingerprint(self) -> dict[str, int | str]:
        """The number of rows and a hash of names and values, which change when the data change."""
        digest = sha256(repr((self.schema.names, self.schema.targets, self.schema.classes)).encode())
        for matrix in (self.x, self.y, *([] if self.weight is None else [self.weight])):
            digest.update(np.ascontiguousarray(matrix).data)
        return {"rows": len(self.x), "sha256": digest.hexdigest()}

    @property
    def memmapped(self) -> bool:
        """Whether the features are in a file."""
        return isinstance(self.x, np.memmap)

    @property
    def values(self) -> TableValues:
        """Features and targets in their own units."""
        return TableValues(self.x, self.y, self.schema.offsets)

    def absent_classes(self, rows: Rows) -> list[str]:
        """The classes of which there is none among these rows."""
        classes = self.schema.classes
        present = set(np.unique(self.y[rows, 0]).tolist()) if classes else set()
        return [label for number, label in enumerate(classes) if number not in present]

    def row_keys(self, digits: int) -> tuple[RowHasher, Keys]:
        """What computes keys of rows, for copies with that many digits, and the keys of all rows."""
        if digits not in self._row_keys:
            dates = [column.kind == "date" for column, _ in self.schema.features]
            hasher = RowHasher.of(self.values, dates, digits)
            self._row_keys[digits] = hasher, hasher.keys(self.values, np.arange(len(self.x)))
        return self._row_keys[digits]


def to_matrix(
    features: Sequence[pl.Series], dtype: FloatType, *, writable: bool = False
) -> Float[np.ndarray, "row feature"]:
    """A matrix with these columns; null becomes NaN."""
    cast = pl.Float64 if dtype is np.float64 else pl.Float32
    frame = pl.DataFrame([column.cast(cast).alias(f"{place}") for place, column in enumerate(features)])
    return frame.to_numpy(writable=writable) if frame.height else np.empty((0, len(features)), dtype)
