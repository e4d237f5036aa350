"""Lines of a CSV file: where its records begin, and which of them are faulty."""

import csv
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import NamedTuple

from mlplab.console import plural
from mlplab.data.io.decompression import check_utf8
from mlplab.data.io.dialect import LONGEST_CELL, NO_QUOTE, Dialect
from mlplab.errors import Fault, UserError


class Record(NamedTuple):
    """The line on which a record begins, counted from 1, and its number of fields: 0 for a blank line."""

    line: int
    fields: int


def csv_records(path: Path, dialect: Dialect, width: int, *, strict: bool = False) -> Generator[Record]:
    """Yields the records below the header. With one column, a blank line is a row with one field.

    Raises:
        csv.Error: if `strict` and a quote is not closed, with the line on which the record begins.
    """
    quote, quotes, line, below_header = dialect.quote or NO_QUOTE, 0, 1, not dialect.header
    with path.open(encoding="utf-8-sig", errors="replace", newline="\n") as file:

        def lines() -> Iterator[str]:
            nonlocal quotes
            for text in file:
                quotes += text.count(quote)
                yield text.replace("\r", "")  # only csv would end a line at a lone carriage return

        records = csv.reader(lines(), delimiter=dialect.delimiter, quotechar=quote, strict=strict)
        try:
            for fields in records:
                if strict and quotes % 2:  # csv reads one inside a field as text, polars does not
                    raise csv.Error("the number of quotes is odd")
                if below_header:
                    yield Record(line, len(fields) or (1 if width == 1 else 0))
                below_header = below_header or bool(fields)
                line = records.line_num + 1
        except csv.Error as error:
            raise csv.Error(str(error), line) from error


def check_lines(path: Path, dialect: Dialect, width: int, where: str) -> None:
    """Checks that a file is UTF-8, closes its quotes, and has `width` fields in each line.

    Raises:
        UserError: if not.
    """
    check_utf8(path, where)
    records = csv_records(path, dialect, width, strict=True)
    wrong = (record for record in records if record.fields not in (0, width))
    try:
        first, more = next(wrong, None), sum(1 for _ in wrong)
    except csv.Error as error:
        reason, line = error.args
        what = f"a quote is not closed properly ({reason})"
        remedy = "close the quote, or double a quote that belongs to the text"
        if "field limit" in reason:
            what = f"a cell has more than {LONGEST_CELL:,} characters"
            remedy = f"shorten it; or, if a quote opens it, {remedy}"
        raise UserError(Fault(what, f"{where}, line {line}", remedy=remedy)) from error
    if first:
        columns = "header" if dialect.header and not dialect.short_header else "table"
        what = f"the line has {plural(first.fields, 'field')}, but the {columns} has {width}"
        what += f"; {plural(more + 1, 'such line')}" if more else ""
        remedy = "give every line as many fields as there are columns; quote text that contains the delimiter"
        raise UserError(Fault(what, f"{where}, line {first.line}", remedy=remedy))
