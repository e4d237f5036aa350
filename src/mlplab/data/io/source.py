"""The rows of a table, scanned block by block: of a frame, or of one or several files."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import NoReturn

import numpy as np
import polars as pl
from jaxtyping import Int64

from mlplab.data.cells.parse import DataType, named
from mlplab.data.io.dialect import ROW_INDEX, Dialect
from mlplab.errors import Fault, UserError, listed


class Scan:
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

    def with_floats(self, names: Collection[str]) -> pl.LazyFrame:
        """The rows; of CSV, with these columns as Float64, which is faster than as text."""
        return self.rows

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
    """The rows of a table: of one or several scans with the same columns, one after another.

    Raises:
        UserError: if the columns of a file differ from those of the first.
    """

    def __init__(self, where: str, scans: Sequence[Scan], paths: Sequence[Path] = ()) -> None:
        self.where, self.paths, self._scans = where, paths, scans
        for scan in scans[1:]:
            if [*scan.schema] != [*scans[0].schema]:
                more = listed(repr(name) for name in scan.schema if name not in scans[0].schema)
                lacks = listed(repr(name) for name in scans[0].schema if name not in scan.schema)
                what = f"has different columns than {scans[0].where}, or has them in a different order"
                raise UserError(Fault(what, scan.where, more, lacks, "give all files the same columns"))
        self.dialect = scans[0].dialect
        self.decimal_comma = self.dialect is not None and self.dialect.decimal == ","
        self.rows = pl.concat([scan.rows for scan in scans], how="vertical_relaxed")
        self.schema: Mapping[str, DataType] = self.rows.collect_schema()
        self.names = [name for name in self.schema if name != ROW_INDEX]

    @classmethod
    def of_frame(cls, where: str, frame: pl.DataFrame) -> "Source":
        """The rows of a frame."""
        return cls(where, [Scan(where, frame.lazy())])

    @property
    def height(self) -> int:
        """The number of scanned rows, blank lines of CSV included."""
        return sum(scan.height for scan in self._scans)

    def blocks(
        self, rows: int, columns: Iterable[str] | None = None, floats: Collection[str] = ()
    ) -> Iterator[pl.DataFrame]:
        """Yields rows without blank lines, up to `rows` at a time.

        The last column is always read, since it shows which lines are blank or too short.

        Args:
            floats: columns of CSV to parse as Float64.

        Raises:
            UserError: if the text of a file is faulty.
            PolarsError: if a cell of `floats` is not a number.
        """
        last, start, checked = list(self.schema)[-1], 0, False
        names = dict.fromkeys([*(self.schema if columns is None else columns), last])
        all_rows = pl.concat([scan.with_floats(floats) for scan in self._scans], how="vertical_relaxed")
        chosen = all_rows.select(map(named, names))
        try:
            for scanned in chosen.collect_batches(chunk_size=rows, lazy=True, maintain_order=True):
                frame = scanned
                if frame[last].null_count():
                    frame = self._without_blank_lines(scanned, start)
                    if frame[last].null_count() and not checked:  # a line may be too short
                        checked = True
                        self.check_lines()
                start += scanned.height
                yield frame.rechunk()  # wide tables come in chunks of few rows; each operation pays for each
        except pl.exceptions.PolarsError as error:
            if floats:
                raise
            self.explain(error)

    def _without_blank_lines(self, frame: pl.DataFrame, start: int) -> pl.DataFrame:
        """The rows of a frame, scanned from row `start`, that are not blank lines of CSV."""
        empty = frame.select(pl.all_horizontal(pl.all().is_null())).to_series()
        if not empty.any():  # finding blank lines reads the files again
            return frame
        starts = np.cumsum([0, *(scan.height for scan in self._scans[:-1])])
        blank = [first + scan.blank_rows for first, scan in zip(starts, self._scans, strict=True)]
        return frame.filter(~np.isin(np.arange(start, start + frame.height), np.concatenate(blank)))

    def explain(self, error: Exception) -> NoReturn:
        """Raises what is behind a polars error during scanning as a UserError."""
        self.check_lines()
        raise UserError(Fault(f"cannot be read: {first_line(error)}", self.where)) from error

    def check_lines(self) -> None:
        """Checks the lines of all CSV files; raises what `Scan.check_lines` raises."""
        for scan in self._scans:
            scan.check_lines()

    def location(self, row: int, column: str) -> str:
        """How messages refer to a cell; rows are counted from 0, without blank lines."""
        scan, *rest = self._scans
        while rest and row >= (height := scan.height - len(scan.blank_rows)):
            row, (scan, *rest) = row - height, rest
        return scan.location(row, column)


def first_line(error: Exception) -> str:
    """The message of a polars error without its hints."""
    return str(error).strip().partition("\n")[0]
