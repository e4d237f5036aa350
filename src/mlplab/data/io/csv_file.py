"""Rows of one frame or file. polars reads them; of CSV, Python's csv module says where they begin, and which
are faulty."""

import csv
import os
from array import array
from collections.abc import Collection, Generator, Iterator, Mapping
from functools import cached_property, partial
from itertools import islice
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Int64

from mlplab.config import CsvFormat
from mlplab.console import plural
from mlplab.data.cells.parse import DataType
from mlplab.data.io.decompression import check_utf8
from mlplab.data.io.dialect import (
    NO_QUOTE,
    Dialect,
    column_names,
    detect_dialect,
    parse_rows,
    read_beginning,
)
from mlplab.errors import Fault, UserError

# Bytes of text that polars parses at a time. There is no argument for it; polars reads the variable at each
# scan. Its own choice takes 150 MB more for a large file, and half as long again.
os.environ.setdefault("POLARS_CSV_CHUNK_SIZE", "1000000")


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

    def with_floats(self, names: Collection[str], na_values: Collection[str]) -> pl.LazyFrame:
        """The rows; of CSV, with these columns as Float64, which is faster than as text, and null for
        `na_values`."""
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


class CsvFile(Scan):
    """Rows of a CSV file, whose content as plain UTF-8 is in the file `text`.

    Of several files, all have the `dialect` of the first; None: detect it.
    """

    dialect: Dialect

    def __init__(self, where: str, text: Path, options: CsvFormat, dialect: Dialect | None) -> None:
        beginning = read_beginning(text)
        if "\ufffd" in beginning:  # also what is not UTF-8
            check_utf8(text, where)
        dialect = dialect or detect_dialect(beginning, options, where)
        first_row = next(parse_rows(beginning, dialect.delimiter, dialect.quote), [])
        self.dialect, self._text = dialect, text
        self._lines = array("Q")  # of the first rows
        blank = beginning[: len(beginning) - len(beginning.lstrip("\r\n"))].count("\n")
        self._scan = partial(
            pl.scan_csv,
            text,
            has_header=False,  # `column_names` may have changed the names
            skip_rows=blank + 1 if dialect.header else 0,
            missing_columns="insert",  # polars would infer another schema from a first row that is too short
            separator=dialect.delimiter,
            quote_char=dialect.quote,
            glob=False,
        )
        names = column_names(first_row, dialect, where)
        super().__init__(where, self._scan(schema=dict.fromkeys(names, pl.String())))

    def with_floats(self, names: Collection[str], na_values: Collection[str]) -> pl.LazyFrame:
        """The rows, these columns as Float64; raises if one of their cells is neither number nor missing."""
        floats = dict.fromkeys(names, pl.Float64())
        return self._scan(schema={**self.schema, **floats}, null_values=[*na_values] or None)

    @cached_property
    def blank_rows(self) -> Int64[np.ndarray, " blank"]:
        """The rows that are blank lines, which polars reads as rows of nulls."""
        blank = [row for row, (_, fields) in enumerate(self.records()) if not fields]
        return np.array(blank, dtype=np.int64)

    def records(self) -> Generator[tuple[int, int]]:
        """Yields the line on which each record below the header begins, counted from 1, and its number of
        fields: 0 for a blank line. With one column, that is a row with one field.

        Raises:
            UserError: if a cell is too long, or a quote is not closed.
        """
        quote, quotes, line, below_header = self.dialect.quote or NO_QUOTE, 0, 1, not self.dialect.header
        with self._text.open(encoding="utf-8-sig", errors="replace", newline="\n") as file:

            def lines() -> Iterator[str]:
                nonlocal quotes
                for text in file:
                    quotes += text.count(quote)
                    yield text.replace("\r", "")  # only csv would end a line at a lone carriage return

            reader = csv.reader(lines(), delimiter=self.dialect.delimiter, quotechar=quote, strict=True)
            try:
                for fields in reader:
                    if quotes % 2:  # csv reads one inside a field as text, polars does not
                        raise csv.Error("the number of quotes is odd")
                    if below_header:
                        yield line, len(fields) or int(len(self.schema) == 1)
                    below_header = below_header or bool(fields)
                    line = reader.line_num + 1
            except csv.Error as error:
                what = f"a quote is not closed properly ({error})"
                remedy = "close the quote, or double a quote that belongs to the text"
                raise UserError(Fault(what, f"{self.where}, line {line}", remedy=remedy)) from error

    def check_lines(self) -> None:
        """Checks that the file is UTF-8, closes its quotes, and has a field for each column in each line."""
        check_utf8(self._text, self.where)
        width = len(self.schema)
        wrong = (record for record in self.records() if record[1] not in (0, width))
        if first := next(wrong, None):
            (line, fields), more = first, sum(1 for _ in wrong)
            columns = "header" if self.dialect.header and not self.dialect.short_header else "table"
            what = f"the line has {plural(fields, 'field')}, but the {columns} has {width}"
            what += f"; {plural(more + 1, 'such line')}" if more else ""
            remedy = "give each line as many fields as columns; quote text that contains the delimiter"
            raise UserError(Fault(what, f"{self.where}, line {line}", remedy=remedy))

    def location(self, row: int, column: str) -> str:
        """How messages refer to a cell, with its line in the file."""
        if row >= len(self._lines):  # at least twice as many, so that the file is read few times
            rows = max(row + 1, 2 * len(self._lines))
            self._lines = array("Q", islice((line for line, fields in self.records() if fields), rows))
        return f"{self.where}, {column}, line {self._lines[row]}, data row {row + 1}"
