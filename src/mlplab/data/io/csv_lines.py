"""Lines of a CSV file: finds bad and blank lines, and where rows begin."""

import csv
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

from mlplab.data.io.decompression import encoding_faults
from mlplab.data.io.dialect import Dialect, csv_reader
from mlplab.errors import Fault

SHOWN = 3
"""Largest number of lines with a wrong number of fields that get their own message."""


class Record(NamedTuple):
    """The line on which a record begins, counted from 1, and its number of fields: 0 for a blank line."""

    line: int
    fields: int


def line_faults(path: Path, dialect: Dialect, width: int, where: str) -> list[Fault]:
    """Finds text that is not UTF-8, quotes that are not closed, and lines without `width` fields."""
    if faults := encoding_faults(path, where):
        return faults
    first = "the header" if dialect.header else "the first line"
    if dialect.short_header:
        first = "the first line below the header"
    try:
        wrong = (record for record in _rows(path, dialect, width) if record.fields not in (0, width))
        shown, more = list(islice(wrong, SHOWN)), sum(1 for _ in wrong)
    except csv.Error as error:
        reason, line = error.args
        what = f"a quote is not closed properly ({reason})"
        remedy = "close the quote, or double a quote that belongs to the text"
        return [Fault(what, f"{where}, line {line}", remedy=remedy)]
    remedy = f"give every line as many fields as {first}; quote text that contains the delimiter"
    faults = [
        Fault(f"the line has {named}, but {first} has {width}", f"{where}, line {line}", remedy=remedy)
        for line, fields in shown
        for named in [f"{fields} field{'s' * (fields != 1)}"]
    ]
    if more:
        faults.append(Fault(f"and {more} more lines with a different number of fields than {first}", where))
    return faults


def blank_rows(path: Path, dialect: Dialect, width: int) -> list[int]:
    """Finds the rows, counted from 0, that are blank lines: polars reads them as rows of nulls."""
    return [row for row, record in enumerate(_rows(path, dialect, width)) if not record.fields]


def row_lines(path: Path, dialect: Dialect, width: int) -> Iterator[int]:
    """Yields the line, counted from 1, on which each row begins, without blank lines."""
    return (record.line for record in _rows(path, dialect, width) if record.fields)


def _rows(path: Path, dialect: Dialect, width: int) -> Iterator[Record]:
    """Yields the records below the header. With one column, a blank line is a row with one field."""
    records = _records(path, dialect)
    if dialect.header:
        next((record for record in records if record.fields), None)
    if width == 1:
        return (Record(line, max(fields, 1)) for line, fields in records)
    return records


def _records(path: Path, dialect: Dialect) -> Iterator[Record]:
    """Yields the records of a file. Lines without quotes, which are the most common, need no parser.

    Raises:
        csv.Error: if a quote is not closed, with the reason and the line on which the record begins.
    """
    quote, read = dialect.quote, 0
    with path.open(encoding="utf-8-sig", errors="replace", newline="\n") as file:
        for text in file:
            line, read = read + 1, read + 1
            if quote is None or quote not in text:
                yield Record(line, text.count(dialect.delimiter) + 1 if text.strip("\r\n") else 0)
                continue
            lines = _Counted(chain([text], file), quote)
            try:
                fields = next(csv_reader(lines, dialect.delimiter, quote, strict=True))
                if lines.quotes % 2:  # csv reads one inside a field as text, polars does not
                    raise csv.Error("the number of quotes is odd")
            except csv.Error as error:
                raise csv.Error(str(error), line) from error
            read += lines.read - 1
            yield Record(line, len(fields))


class _Counted:
    """Lines for a parser; counts the lines and quotes that the parser has read."""

    def __init__(self, lines: Iterator[str], quote: str) -> None:
        self._lines, self._quote = lines, quote
        self.read = self.quotes = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        text = next(self._lines)
        self.read += 1
        self.quotes += text.count(self._quote)
        return text.replace("\r", "")  # only csv would end a line at a lone carriage return
