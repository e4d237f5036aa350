"""Rows of CSV text."""

import os
from collections.abc import Collection, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Int64
from typing_extensions import override

from mlplab.data.io.csv_lines import blank_lines, line_faults, record_lines
from mlplab.data.io.dialect import CsvOptions, header_names, look
from mlplab.data.io.same_columns import check_alike, title
from mlplab.data.io.source import Source, first_line
from mlplab.errors import Fault

PARSED = "1000000"
"""Bytes of text that polars parses at a time: its own choice takes 200 MB for what is under way, and longer.
It does not promise to heed this (2.1 does); where it does not, nothing is lost but that."""


class CsvSource(Source):
    """Rows of CSV text."""

    def __init__(self, where: str, paths: Sequence[Path], texts: Sequence[Path], given: CsvOptions) -> None:
        os.environ.setdefault("POLARS_CSV_CHUNK_SIZE", PARSED)
        self.where, self.paths, self._texts = where, paths, texts
        self._names = [title(path, paths, where) for path in paths]
        self.options = given
        self.written = self.dialect = look(texts[0], given, self._names[0])
        self.comma = self.dialect.decimal == ","
        names = header_names(texts[0], self.dialect, self._names[0])
        self.schema = dict.fromkeys(names, pl.String())
        for text, file in zip(texts[1:], self._names[1:], strict=True):
            other = dict.fromkeys(header_names(text, self.dialect, file), pl.String())
            check_alike(self.schema, other, file, self._names[0])

    @override
    def rows(self) -> int:
        return sum(self._heights)

    @cached_property
    def _heights(self) -> list[int]:
        return [self._scan(text).select(pl.len()).collect().item() for text in self._texts]

    @override
    def scan(self, floats: Collection[str] = (), nulls: Sequence[str] = ()) -> pl.LazyFrame:
        return pl.concat([self._scan(text, floats, nulls) for text in self._texts])

    def _scan(self, text: Path, floats: Collection[str] = (), nulls: Sequence[str] = ()) -> pl.LazyFrame:
        return pl.scan_csv(
            text,
            schema={**self.schema, **dict.fromkeys(floats, pl.Float64())},
            has_header=False,  # the names may have been mended
            skip_rows=_empty_lines(text) + 1 if self.dialect.header else 0,
            missing_columns="insert",  # or a first row that is too short would be another schema to polars
            separator=self.dialect.delimiter,
            quote_char=self.dialect.quote,
            decimal_comma=self.comma and bool(floats),
            null_values=list(nulls) or None,
            glob=False,
        )

    @override
    def faults(self, error: Exception) -> list[Fault]:
        faults = self.line_faults()
        return faults or [Fault(f"cannot be read as CSV: {first_line(error)}", self.where)]

    @override
    def line_faults(self) -> list[Fault]:
        return [
            fault
            for text, file in zip(self._texts, self._names, strict=True)
            for fault in line_faults(text, self.dialect, len(self.schema), file)
        ]

    @cached_property
    @override
    def blanks(self) -> Int64[np.ndarray, " blank"]:
        before, found = 0, []
        for text, height in zip(self._texts, self._heights, strict=True):
            found += [before + row for row in blank_lines(text, self.dialect, len(self.schema))]
            before += height
        return np.array(found, dtype=np.int64)

    @override
    def place(self, row: int, column: str) -> str:
        start = 0
        for text, file, height in zip(self._texts, self._names, self._heights, strict=True):
            filled = height - int(((self.blanks >= start) & (self.blanks < start + height)).sum())
            if row < filled:
                [line] = record_lines(text, self.dialect, [row])
                return f"{file}, {column}, line {line}, data row {row + 1}"
            row, start = row - filled, start + height
        raise IndexError(row)


def _empty_lines(path: Path) -> int:
    """How many there are before the header."""
    with path.open("rb") as file:
        return next((number for number, line in enumerate(file) if line.strip(b"\xef\xbb\xbf \r\n")), 0)
