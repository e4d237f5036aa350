"""Where a table's rows come from: a frame in memory, or by subclasses CSV text and Parquet."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Int64

from mlplab.data.io.dialect import ROW_INDEX, CsvOptions, Dialect
from mlplab.data.parse import DataType
from mlplab.errors import Fault, UserError

Schema = Mapping[str, DataType]


class Source:
    """Rows with named columns: those of a frame, if it is not a subclass for files.

    Attributes:
        where: what messages call it.
        schema: the columns, with their types; those of CSV are text.
        comma: whether its text has a decimal comma.
        paths: the files it is read from, as the user has them.
        written: how its text is written, if it is text.
        options: what the user says of that.
    """

    schema: Schema
    comma = False
    paths: Sequence[Path] = ()
    written: Dialect | None = None
    options: CsvOptions | None = None

    def __init__(self, where: str, frame: pl.DataFrame) -> None:
        self.where, self._frame = where, frame
        self.schema = frame.schema

    @property
    def names(self) -> list[str]:
        """The columns' names, without the row index, which has none."""
        return [name for name in self.schema if name != ROW_INDEX]

    def rows(self) -> int:
        """How many there are at most."""
        return self._frame.height

    def scan(self, floats: Collection[str] = (), nulls: Sequence[str] = ()) -> pl.LazyFrame:
        """All rows; of CSV these columns as numbers, which is fast but stops at what is none, and these words
        as missing values."""
        return self._frame.lazy()

    def faults(self, error: Exception) -> list[Fault]:
        """What is wrong, if scanning has raised this."""
        return [Fault(f"cannot be read: {first_line(error)}", self.where)]

    def line_faults(self) -> list[Fault]:
        """Lines of text with too many fields or too few, and what is no text."""
        return []

    @property
    def blanks(self) -> Int64[np.ndarray, " blank"]:
        """Which of the scanned rows are none, having nothing in them, not even a separator."""
        return np.empty(0, dtype=np.int64)

    def filled(self, empty: pl.Series, start: int) -> pl.Series:
        """Which of the rows scanned from `start` on are rows at all, some of them being `empty`."""
        if not self.paths or not empty.any():  # or the file would be looked through once more
            return pl.repeat(value=True, n=len(empty), eager=True)
        return pl.Series(~np.isin(np.arange(start, start + len(empty)), self.blanks))

    def frames(self, rows: int) -> Iterator[pl.DataFrame]:
        """All rows as they are, so many at a time.

        Raises:
            UserError: with all that is wrong with the text.
        """
        last, start, looked = list(self.schema)[-1], 0, False
        try:
            for frame in self.scan().collect_batches(chunk_size=rows, lazy=True, maintain_order=True):
                first, start = start, start + frame.height
                if frame[last].null_count():
                    empty = frame.select(pl.all_horizontal(pl.all().is_null())).to_series()
                    frame = frame.filter(self.filled(empty, first))
                    if frame[last].null_count() and not looked:  # as where a line is too short
                        looked = True
                        if faults := self.line_faults():
                            raise UserError(*faults)
                yield frame
        except pl.exceptions.PolarsError as error:
            raise UserError(*self.faults(error)) from error

    def place(self, row: int, column: str) -> str:
        """Where a cell stands, its row counted from 0 without blanks."""
        return f"{self.where}, {column}, data row {row + 1}"


def first_line(error: Exception) -> str:
    """What polars says, without what follows."""
    return str(error).strip().partition("\n")[0]
