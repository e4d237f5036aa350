"""A table that is scanned block by block: a frame in memory, or (in subclasses) CSV and Parquet files."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Int64

from mlplab.data.io.dialect import Dialect
from mlplab.data.io.header import ROW_INDEX
from mlplab.data.parse import DataType, named
from mlplab.errors import Fault, UserError

Schema = Mapping[str, DataType]


class Source:
    """The rows of a frame; subclasses read files.

    Attributes:
        where: the name in messages.
        schema: types by column; all columns of CSV are strings.
        paths: the files, as named by the user.
        dialect: the format of CSV; None if it is not CSV.
        format: " as CSV" or " as Parquet", for messages.
    """

    where: str
    schema: Schema
    paths: Sequence[Path] = ()
    dialect: Dialect | None = None
    format = ""
    _rows: pl.LazyFrame

    def __init__(self, where: str, frame: pl.DataFrame) -> None:
        self.where, self.schema, self._rows = where, frame.schema, frame.lazy()

    @property
    def names(self) -> list[str]:
        """The column names without the row index."""
        return [name for name in self.schema if name != ROW_INDEX]

    @property
    def decimal_comma(self) -> bool:
        """Whether numbers in text have a decimal comma."""
        return self.dialect is not None and self.dialect.decimal == ","

    @cached_property
    def height(self) -> int:
        """The number of scanned rows, blank lines of CSV included."""
        return int(self.scan().select(pl.len()).collect().item())

    @cached_property
    def blank_rows(self) -> Int64[np.ndarray, " blank"]:
        """The scanned rows that are blank lines of CSV."""
        return np.empty(0, dtype=np.int64)

    def scan(self, floats: Collection[str] = (), na_values: Sequence[str] = ()) -> pl.LazyFrame:
        """Scans all rows.

        Args:
            floats: columns of CSV to read as Float64, which is fast but raises if a cell is not a number.
            na_values: words in CSV to read as null.
        """
        return self._rows

    def is_row(self, frame: pl.DataFrame, start: int) -> pl.Series:
        """Which rows of a frame, scanned from row `start`, are not blank lines of CSV."""
        empty = frame.select(pl.all_horizontal(pl.all().is_null())).to_series()
        if not empty.any():  # finding blank lines reads the file again
            return ~empty
        return pl.Series(~np.isin(np.arange(start, start + frame.height), self.blank_rows))

    def frames(self, rows: int) -> Iterator[pl.DataFrame]:
        """Yields all rows unparsed, without blank lines, up to `rows` at a time.

        Raises:
            UserError: with all faults of the text.
        """
        try:
            yield from self.blocks(rows, self.schema)
        except pl.exceptions.PolarsError as error:
            raise UserError(*self.faults(error)) from error

    def blocks(
        self, rows: int, columns: Iterable[str], floats: Collection[str] = (), na_values: Sequence[str] = ()
    ) -> Iterator[pl.DataFrame]:
        """Yields some columns and the last one, without blank lines, up to `rows` rows at a time.

        Args:
            floats: as in `scan`.
            na_values: as in `scan`.

        Raises:
            UserError: if lines of CSV are too short.
            PolarsError: as `scan`.
        """
        last, start, checked = list(self.schema)[-1], 0, False
        scan = self.scan(floats, na_values).select(map(named, dict.fromkeys([*columns, last])))
        for scanned in scan.collect_batches(chunk_size=rows, lazy=True, maintain_order=True):
            frame = scanned
            if frame[last].null_count():
                frame = scanned.filter(self.is_row(scanned, start))
                if frame[last].null_count() and not checked:  # a line may be too short
                    checked = True
                    if faults := self.line_faults():
                        raise UserError(*faults)
            start += scanned.height
            yield frame.rechunk()  # wide tables come in chunks of few rows, and each operation pays for each

    def faults(self, error: Exception) -> list[Fault]:
        """The faults behind a polars error during scanning."""
        return self.line_faults() or [Fault(f"cannot be read{self.format}: {first_line(error)}", self.where)]

    def line_faults(self) -> list[Fault]:
        """Finds lines of CSV that are not UTF-8, do not close a quote, or have too many or too few fields."""
        return []

    def location(self, row: int, column: str) -> str:
        """How messages refer to a cell; rows are counted from 0, without blank lines."""
        return f"{self.where}, {column}, data row {row + 1}"


def first_line(error: Exception) -> str:
    """The message of a polars error without its hints."""
    return str(error).strip().partition("\n")[0]
