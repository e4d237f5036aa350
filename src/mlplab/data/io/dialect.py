"""The dialect of a CSV file (delimiter, decimal mark, header), detected from its beginning; column names."""

import csv
import logging
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from statistics import median_low
from typing import Literal

from mlplab.config import DETECT, CsvFormat
from mlplab.errors import Fault, UserError, listed, shortened

log = logging.getLogger(__name__)

COMMA = r"[+-]?\d+,\d+([eE][+-]?\d+)?"
POINT = r"[+-]?(\d+\.\d*|\.\d+)([eE][+-]?\d+)?"

NO_QUOTE = "\0"  # a quote that no text contains

ROW_INDEX = ""
"""The name of a first column without a name: the row index of pandas and R, which is not an input."""

Row = Sequence[str]

csv.field_size_limit(2**25)  # characters; Python's own limit, 131,072, is less than some cells hold


@dataclass(frozen=True)
class Dialect:
    """The format of a CSV file.

    Attributes:
        short_header: the header has no field for the row index that begins each line, as in files of R's
            `write.table`.
        options: what the user set: a decimal mark is that of all columns.
    """

    delimiter: str
    quote: str | None
    decimal: Literal[".", ","]
    header: bool
    short_header: bool = False
    options: CsvFormat = field(default=DETECT, compare=False)


def read_beginning(path: Path) -> str:
    """Reads whole lines: the first one, which may be long, and then a little more than 64 KiB."""
    with path.open("rb") as file:
        content = file.readline() + file.read(2**16) + file.readline()
    return content.decode("utf-8-sig", errors="replace")


def parse_rows(text: str, delimiter: str, quote: str | None) -> Iterator[list[str]]:
    """Yields the fields of each line that is not empty, up to the first line that cannot be parsed."""
    lines = StringIO(text.replace("\r", ""))  # only csv would end a line at a lone carriage return
    with suppress(csv.Error):  # `check_lines` reports it
        yield from filter(None, csv.reader(lines, delimiter=delimiter, quotechar=quote or NO_QUOTE))


def detect_dialect(text: str, options: CsvFormat, where: str) -> Dialect:
    """Detects the dialect of a file by its beginning.

    Raises:
        UserError: if the dialect is ambiguous or contradicts the options, or there is no header.
    """
    quote = '"' if options.quote is None else options.quote or None
    likely = (each for each in ",;\t|" if each in text)
    delimiters = dict.fromkeys([*likely, options.delimiter or ","])
    parsed = {each: list(parse_rows(text, each, quote)) for each in delimiters}
    best = max(parsed, key=lambda each: _fit(parsed[each]))
    delimiter = options.delimiter or best
    rows, header = parsed[delimiter], options.header is not False
    if rows:
        _check_first_row(parsed, delimiter, best, options, where)
    decimal = options.decimal
    if decimal is None:  # a comma if numbers have it and none has a point
        cells = [cell.strip() for row in rows[header:] for cell in row]
        has_points = any(re.fullmatch(POINT, cell) for cell in cells)
        commas = [cell for cell in cells if re.fullmatch(COMMA, cell)]
        # If all may mark thousands, each column decides.
        may_be_thousands = all(re.fullmatch(r"[+-]?[1-9]\d{0,2},\d{3}", cell) for cell in commas)
        decimal = "." if has_points or may_be_thousands else ","
    return Dialect(delimiter, quote, decimal, header, header and _has_short_header(rows), options)


def column_names(first_row: Row, dialect: Dialect, where: str) -> list[str]:
    """The names in the header, stripped and without line breaks, or column_1, … if there is no header.

    The `first_row` is the first line that is not empty; it has no fields if the file is empty.

    Raises:
        UserError: if the file is empty, a name is not unique, or a column other than the first has no name.
    """
    if not first_row:
        raise UserError(Fault("is empty", where, expected="a header line and rows of data"))
    if not dialect.header:
        return [f"column_{number}" for number in range(1, len(first_row) + 1)]
    row = [ROW_INDEX, *first_row] if dialect.short_header else first_row
    names = [re.sub(r"\s*\n\s*", " ", name.strip()) for name in row]
    faults = [
        Fault(f"has {count} columns '{name}'", where, remedy="give each column a unique name")
        for name, count in Counter(filter(None, names)).items()
        if count > 1
    ]
    if blank := [str(number) for number, name in enumerate(names[1:], 2) if not name]:
        remedy = "give it a name in the header, or remove the delimiter at the end of each line"
        faults.append(Fault(f"has no name for column {listed(blank)}", where, remedy=remedy))
    if faults:
        raise UserError(*faults)
    if cleaned := [name for name, written in zip(names, row, strict=True) if name and name != written]:
        log.warning("%s: removed spaces or line breaks from column names: %s", where, listed(cleaned))
    return names


def _check_first_row(
    parsed: Mapping[str, Sequence[Row]], delimiter: str, best: str, options: CsvFormat, where: str
) -> None:
    first, *_ = rows = parsed[delimiter]
    is_number, expected = re.compile(rf"[+-]?\d+([eE][+-]?\d+)?|{POINT}|{COMMA}").fullmatch, "column names"
    is_title = len(first) == 1 < median_low(map(len, rows)) or first[0].startswith("sep=")
    if len(first) == 1 < _fit(parsed[best])[1]:
        what, expected = f"the columns seem to be separated by {best!r}", ""
        remedy = "remove data.delimiter"
    elif options.header is not False and is_title:
        what, remedy = "the first line does not name the columns", "delete the lines above the header"
    elif options.header is None and all(is_number(cell.strip()) for cell in first):
        what, names = "has no header row", "data.header=false names the columns column_1, column_2, …"
        remedy = f"{names}; if these are names: data.header=true"
    else:
        return
    raise UserError(Fault(what, where, shortened(delimiter.join(first)), expected, remedy))


def _fit(rows: Sequence[Row]) -> tuple[bool, int, int]:
    """Ranks a delimiter: by whether it splits all lines into the same number of fields, then by the number of
    fields of the first line, then of the median line."""
    widths = [len(row) for row in rows] or [1]
    equal = len(set(widths)) == 1 or _has_short_header(rows)
    return widths[0] > 1 and equal, widths[0], median_low(widths)


def _has_short_header(rows: Sequence[Row]) -> bool:
    """Whether each line has one field more than the header and begins with an R row name.

    Row names are unique and not blank. A delimiter at the end of each line adds a field, too.
    """
    header, *lines = rows or [[]]
    return (
        len(header) > 1
        and len(lines) > 1
        and all(len(line) == len(header) + 1 for line in lines)
        and any(line[-1].strip() for line in lines)
        and len({line[0] for line in lines if line[0].strip()}) == len(lines)
    )
