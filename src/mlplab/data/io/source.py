"""The rows of a table, scanned block by block: of a frame, or of one or several files."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import NoReturn

import numpy as np
import polars as pl
from jaxtyping import Int64

from mlplab.data.cells.parse import DataType, named
from mlplab.data.io.dialect import Dialect
from mlplab.data.io.header import ROW_INDEX
from mlplab.errors import Fault, UserError, listed


class Part:
    """The rows of a frame or a Parquet file. `CsvFile` reads CSV.

    Attributes:
        where: the name in messages.
        rows: to be scanned.
        schema: types by column; all columns of CSV are strings.
        dialect: the format of CSV; None if it is not CSV.
    """

    dialect: Dialect | None = None

    def __init__(self, where: str, rows: pl.LazyFrame) -> None:
        self.where, self.rows = where, rows
        self.schema: Mapping[str, DataType] = rows.collect_schema()

    @cached_property
    def height(self) -> int:
        """The number of scanned rows, blank lines of CSV included."""
        return int(self.rows.select(pl.len()).collect().item())

    @cached_property
    def blank_rows(self) -> Int64[np.ndarray, " blank"]:
        """The scanned rows that are blank lines of CSV, which polars reads as rows of nulls."""
        return np.empty(0, dtype=np.int64)

    def check_lines(self) -> None:
        """Checks the lines of CSV.

        Raises:
            UserError: if some are not UTF-8, do not close a quote, or have too many or too few fields.
        """

    def location(self, row: int, column: str) -> str:
        """How messages refer to a cell; rows are counted from 0, without blank lines."""
        return f"{self.where}, {column}, data row {row + 1}"


class Source:
    """The rows of a table: of one or several parts with the same columns, one after another.

    Raises:
        UserError: if the columns of a part differ from those of the first.
    """

    def __init__(self, where: str, parts: Sequence[Part], paths: Sequence[Path] = ()) -> None:
        self.where, self.paths, self._parts = where, paths, parts
        for part in parts[1:]:
            expected, found = [*parts[0].schema], [*part.schema]
            if found != expected:
                more = listed(repr(name) for name in found if name not in expected)
                lacks = listed(repr(name) for name in expected if name not in found)
                what = f"has different columns than {parts[0].where}, or has them in a different order"
                raise UserError(Fault(what, part.where, more, lacks, "give all files the same columns"))
        self.dialect = parts[0].dialect
        self.decimal_comma = self.dialect is not None and self.dialect.decimal == ","
        self.rows = pl.concat([part.rows for part in parts], how="vertical_relaxed")
        self.schema: Mapping[str, DataType] = self.rows.collect_schema()
        self.names = [name for name in self.schema if name != ROW_INDEX]

    @classmethod
    def of_frame(cls, where: str, frame: pl.DataFrame) -> "Source":
        """The rows of a frame."""
        return cls(where, [Part(where, frame.lazy())])

    @property
    def height(self) -> int:
        """The number of scanned rows, blank lines of CSV included."""
        return sum(part.height for part in self._parts)

    def blocks(self, rows: int, columns: Iterable[str] | None = None) -> Iterator[pl.DataFrame]:
        """Yields rows without blank lines, up to `rows` at a time.

        The last column is always read, since it shows which lines are blank or too short.

        Raises:
            UserError: if the text of a file is faulty.
        """
        last, start, checked = list(self.schema)[-1], 0, False
        names = dict.fromkeys([*(self.schema if columns is None else columns), last])
        scan = self.rows.select(map(named, names))
        try:
            for scanned in scan.collect_batches(chunk_size=rows, lazy=True, maintain_order=True):
                frame = scanned
                if frame[last].null_count():
                    frame = self._without_blank_lines(scanned, start)
                    if frame[last].null_count() and not checked:  # a line may be too short
                        checked = True
                        self.check_lines()
                start += scanned.height
                yield frame.rechunk()  # wide tables come in chunks of few rows; each operation pays for each
        except pl.exceptions.PolarsError as error:
            self.explain(error)

    def _without_blank_lines(self, frame: pl.DataFrame, start: int) -> pl.DataFrame:
        """The rows of a frame, scanned from row `start`, that are not blank lines of CSV."""
        empty = frame.select(pl.all_horizontal(pl.all().is_null())).to_series()
        if not empty.any():  # finding blank lines reads the files again
            return frame
        starts = np.cumsum([0, *(part.height for part in self._parts[:-1])])
        blank = [first + part.blank_rows for first, part in zip(starts, self._parts, strict=True)]
        return frame.filter(~np.isin(np.arange(start, start + frame.height), np.concatenate(blank)))

    def explain(self, error: Exception) -> NoReturn:
        """Raises what is behind a polars error during scanning as a UserError."""
        self.check_lines()
        raise UserError(Fault(f"cannot be read: {first_line(error)}", self.where)) from error

    def check_lines(self) -> None:
        """As `Part.check_lines`, of all parts."""
        for part in self._parts:
            part.check_lines()

    def location(self, row: int, column: str) -> str:
        """How messages refer to a cell; rows are counted from 0, without blank lines."""
        part, *rest = self._parts
        while rest and row >= (height := part.height - len(part.blank_rows)):
            row, (part, *rest) = row - height, rest
        return part.location(row, column)


def first_line(error: Exception) -> str:
    """The message of a polars error without its hints."""
    return str(error).strip().partition("\n")[0]
