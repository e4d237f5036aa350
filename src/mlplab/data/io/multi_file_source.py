"""Rows of several files with the same columns."""

from collections.abc import Collection, Sequence
from functools import cached_property

import numpy as np
import polars as pl
from jaxtyping import Int64
from typing_extensions import override

from mlplab.data.io.source import Source
from mlplab.data.parse import DataType, is_text
from mlplab.errors import Fault, UserError, listed

UNNAMED = "a first column without a name"


class MultiFileSource(Source):
    """Rows of several files, one after another.

    Raises:
        UserError: if the columns of a file differ from those of the first.
    """

    def __init__(self, parts: Sequence[Source], where: str) -> None:
        first, *others = self._parts = parts
        for other in others:
            check_same_columns(first, other)
        self.where, self.dialect, self.format = where, first.dialect, first.format
        self.paths = [path for part in parts for path in part.paths]
        self.schema = self.scan().collect_schema()

    @override
    def scan(self, floats: Collection[str] = (), na_values: Sequence[str] = ()) -> pl.LazyFrame:
        return pl.concat([part.scan(floats, na_values) for part in self._parts], how="vertical_relaxed")

    @cached_property
    @override
    def height(self) -> int:
        return sum(part.height for part in self._parts)

    @cached_property
    @override
    def blank_rows(self) -> Int64[np.ndarray, " blank"]:
        starts = np.cumsum([0, *(part.height for part in self._parts[:-1])])
        return np.concatenate(
            [start + part.blank_rows for start, part in zip(starts, self._parts, strict=True)]
        )

    @override
    def line_faults(self) -> list[Fault]:
        return [fault for part in self._parts for fault in part.line_faults()]

    @override
    def location(self, row: int, column: str) -> str:
        for part in self._parts:
            height = part.height - len(part.blank_rows)
            if row < height:
                return part.location(row, column)
            row -= height
        raise IndexError(row)


def check_same_columns(first: Source, other: Source) -> None:
    """Refuses a file whose columns differ in names or types from those of the first file."""
    if list(first.schema) != list(other.schema):
        lacks = listed(name or UNNAMED for name in first.schema if name not in other.schema)
        more = listed(name or UNNAMED for name in other.schema if name not in first.schema)
        details = "; ".join(
            f"{what} {names}" for what, names in (("lacks", lacks), ("also has", more)) if names
        )
        what = f"has different columns than {first.where}: {details or 'in a different order'}"
        faults = [Fault(what, other.where, remedy="give all files the same columns")]
    else:
        faults = [
            Fault(
                f"has type {other.schema[name]}, but {dtype} in {first.where}",
                f"{other.where}, column '{name}'",
                remedy="give it the same type in all files",
            )
            for name, dtype in first.schema.items()
            if _family(dtype) != _family(other.schema[name]) and pl.Null not in (dtype, other.schema[name])
        ]
    if faults:
        raise UserError(*faults)


def _family(dtype: DataType) -> str:
    """The family of a type; types of the same family can be read together."""
    return "number" if dtype.is_numeric() else "text" if is_text(dtype) else str(dtype.base_type())
