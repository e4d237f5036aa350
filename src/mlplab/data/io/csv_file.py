"""Rows of a CSV file."""

import os
from array import array
from collections.abc import Collection, Generator, Sequence
from contextlib import closing
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Int64

from mlplab.data.io.csv_lines import Record, check_lines, csv_records
from mlplab.data.io.dialect import CsvOptions, Dialect, detect_dialect, parse_rows, read_beginning
from mlplab.data.io.header import column_names
from mlplab.data.io.source import Part

# Bytes of text that polars parses at a time. There is no argument for it; polars reads the variable at each
# scan. Its own choice takes 150 MB more for a large file, and half as long again.
os.environ.setdefault("POLARS_CSV_CHUNK_SIZE", "1000000")


class CsvFile(Part):
    """Rows of a CSV file, whose content as plain UTF-8 is in the file `text`.

    Of several files, all have the `dialect` of the first; None: detect it.
    """

    dialect: Dialect

    def __init__(self, where: str, text: Path, options: CsvOptions, dialect: Dialect | None) -> None:
        beginning = read_beginning(text, where)
        if dialect is None:
            dialect, first_row = detect_dialect(beginning, options, where)
        else:
            first_row = next(parse_rows(beginning, dialect.delimiter, dialect.quote), [])
        self.where, self.dialect, self._text = where, dialect, text
        self.schema = dict.fromkeys(column_names(first_row, dialect, where), pl.String())
        blank = beginning[: len(beginning) - len(beginning.lstrip("\r\n"))].count("\n")
        self._skip_rows = blank + 1 if dialect.header else 0
        self._lines = array("Q")  # of the first rows

    def _records(self) -> Generator[Record]:
        return csv_records(self._text, self.dialect, len(self.schema))

    def scan(self, floats: Collection[str] = (), na_values: Sequence[str] = ()) -> pl.LazyFrame:
        """Scans all rows as text, but for columns of `floats`."""
        return pl.scan_csv(
            self._text,
            schema={**self.schema, **dict.fromkeys(floats, pl.Float64())},
            has_header=False,  # `column_names` may have changed the names
            skip_rows=self._skip_rows,
            missing_columns="insert",  # polars would infer another schema from a first row that is too short
            separator=self.dialect.delimiter,
            quote_char=self.dialect.quote,
            decimal_comma=self.dialect.decimal == "," and bool(floats),
            null_values=list(na_values) or None,
            glob=False,
        )

    @cached_property
    def blank_rows(self) -> Int64[np.ndarray, " blank"]:
        """The rows that are blank lines, which polars reads as rows of nulls."""
        blank = [row for row, record in enumerate(self._records()) if not record.fields]
        return np.array(blank, dtype=np.int64)

    def check_lines(self) -> None:
        """Checks that each line has as many fields as the header."""
        check_lines(self._text, self.dialect, len(self.schema), self.where)

    def location(self, row: int, column: str) -> str:
        """How messages refer to a cell, with its line in the file."""
        if row >= len(self._lines):  # at least twice as many, so that the file is read few times
            rows = max(row + 1, 2 * len(self._lines))
            with closing(self._records()) as records:
                self._lines = array("Q", islice((each.line for each in records if each.fields), rows))
        return f"{self.where}, {column}, line {self._lines[row]}, data row {row + 1}"
