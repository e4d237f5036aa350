"""Reads the rows of a source as numbers, block by block.

How a column is read is inferred from the first rows. If later rows contradict that, all rows are read again.
"""

from collections.abc import Callable, Collection, Iterable, Iterator

import numpy as np
import polars as pl
from jaxtyping import Float, Float64

from mlplab.data.infer.inferred_column import InferredColumn
from mlplab.data.infer.sample import SAMPLE, columns_by_sample
from mlplab.data.infer.table_spec import TableSpec, titled
from mlplab.data.io.source import Source
from mlplab.data.parse import NA_VALUES, cells_of
from mlplab.data.table import BLOCK, to_matrix
from mlplab.errors import UserError

Allocate = Callable[[str, tuple[int, int], type[np.floating]], np.ndarray]
"""Allocates a matrix, by its name, its rows and columns, and the type of its numbers."""


class TableReader:
    """All rows of a source as numbers, and what was inferred about its columns.

    Args:
        source: the rows.
        spec: the columns and options to read.
        dtype: the type of the features.
        allocate: allocates the matrices.
        progress: called with the number of rows read so far.

    Attributes:
        sample: the first rows, unparsed.
        columns: the inputs in the table's order, then the columns in all other roles.
        features: the features of the inputs. Numbers are centred by their offset, text is a code, NaN is
            missing.
        others: the columns in all other roles.

    Raises:
        UserError: if the columns do not match the spec, or cannot be read.
    """

    features: Float[np.ndarray, "row feature"]
    others: Float64[np.ndarray, "row other"]

    def __init__(
        self,
        source: Source,
        spec: TableSpec,
        dtype: type[np.floating],
        allocate: Allocate,
        progress: Callable[[int], None],
    ) -> None:
        self.source, self.spec, self.dtype = source, spec, dtype
        self._allocate, self._progress = allocate, progress
        self.rows = 0
        if faults := spec.faults(source):
            raise UserError(*faults)
        try:
            self.sample = source.scan().head(SAMPLE).collect().rechunk()
        except pl.exceptions.PolarsError as error:
            raise UserError(*source.faults(error)) from error
        self.columns = columns_by_sample(source, spec, self.sample)

    def read(self) -> "TableReader":
        """Reads all rows. Bad cells are counted, and read as missing.

        Raises:
            UserError: with all faults of the text.
        """
        careful = False
        while True:
            floats = set() if careful else self._float_columns()
            try:
                self._read_once(floats)
            except pl.exceptions.PolarsError as error:
                if faults := self.source.line_faults() if floats else self.source.faults(error):
                    raise UserError(*faults) from error
                careful = True
                continue
            if any(column.holds_nul() for column in self.columns) and (faults := self.source.line_faults()):
                raise UserError(*faults)
            if floats and any(column.may_lose_digits() for column in self.columns):
                careful = True
            elif not self._correct():
                return self

    def blocks(self, names: Iterable[str], floats: Collection[str] = ()) -> Iterator[pl.DataFrame]:
        """Some of the source's columns in blocks of rows, without blank lines.

        Args:
            floats: columns of CSV that polars parses as numbers. This is fast, but all other cells raise a
                PolarsError.

        Raises:
            UserError: if lines of CSV are too short.
        """
        return self.source.blocks(BLOCK, names, floats, self._na_values() if floats else ())

    def parse(self, column: InferredColumn, frame: pl.DataFrame) -> tuple[list[pl.Series], pl.Series]:
        """A column's features in a frame, and the rows of its bad cells."""
        cells = cells_of(frame, column.name)
        return column.read(cells, self.spec.na_values, decimal_comma=self.source.decimal_comma)

    def values(self, column: InferredColumn) -> Float[np.ndarray, " row"]:
        """The first feature of a column."""
        matrix = self.features if column.role == "input" else self.others
        return matrix[:, column.location.start]

    def where(self, column: InferredColumn) -> str:
        """How messages refer to a column."""
        return f"{self.source.where}, {titled(column.name, column.role)}"

    def place(self, row: int, column: InferredColumn) -> str:
        """How messages refer to a cell."""
        return self.source.location(row, titled(column.name, column.role))

    def _read_once(self, floats: Collection[str]) -> None:
        height, self.rows = self.source.height, 0
        inputs = [column for column in self.columns if column.role == "input"]
        others = [column for column in self.columns if column.role != "input"]
        self.features = self._allocate("features", (height, _locate(inputs)), self.dtype)
        self.others = self._allocate("others", (height, _locate(others)), np.float64)
        matrices = ((self.features, inputs), (self.others, others))
        for frame in self.blocks((column.name for column in self.columns), floats):
            start, self.rows = self.rows, self.rows + frame.height
            for matrix, columns in matrices:
                features: list[pl.Series] = []
                for column in columns:
                    parsed, bad = self.parse(column, frame)
                    column.count(parsed, len(bad))
                    features += parsed
                if features:
                    matrix[start : self.rows] = to_matrix(features, matrix.dtype.type)
            self._progress(self.rows)
        self.features, self.others = self.features[: self.rows], self.others[: self.rows]

    def _correct(self) -> bool:
        """Changes how columns are read, if necessary; returns whether rows must be read again."""
        where, raw = self.source.where, self.spec.raw
        corrected = [column.correct(self.dtype, where, raw=raw) for column in self.columns]
        return any(corrected)

    def _float_columns(self) -> set[str]:
        """Text columns that are read only as numbers. With a decimal comma, none: polars would also accept
        decimal points."""
        if self.source.decimal_comma:
            return set()
        others = {column.name for column in self.columns if column.definition.kind != "numeric"}
        return {each.name for each in self.columns if self.source.schema[each.name] == pl.String} - others

    def _na_values(self) -> list[str]:
        """Missing values as the sample spells them, with the spaces around them."""
        found = set(self.spec.na_values)
        for name, dtype in self.source.schema.items():
            if dtype == pl.String:
                cells = cells_of(self.sample, name).drop_nulls().unique()
                found |= set(cells.filter(cells.str.strip_chars().is_in(NA_VALUES)))
        return sorted(found - {""})


def _locate(columns: Iterable[InferredColumn]) -> int:
    """Prepares columns for reading side by side into a matrix; returns its width."""
    width = 0
    for column in columns:
        column.reset(width)
        width += column.width
    return width
