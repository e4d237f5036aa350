"""How a CSV file is written: what separates fields, wraps them and marks decimals, and its columns' names."""

import csv
import logging
import re
from collections import Counter
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from statistics import median_low
from typing import Literal

from mlplab.data.io.decompression import BEGINNING, encoding_faults
from mlplab.errors import Fault, UserError, listed

log = logging.getLogger(__name__)

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
"""What is looked for between fields, the likelier first."""

COMMA = re.compile(r"[+-]?\d+,\d+([eE][+-]?\d+)?")
POINT = re.compile(r"[+-]?(\d+\.\d*|\.\d+)([eE][+-]?\d+)?")
WHOLE = re.compile(r"[+-]?\d+([eE][+-]?\d+)?")
BREAK = re.compile(r"\s*\n\s*")
THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")

ROW_INDEX = ""
"""The name of a column without one: the row index of pandas and R, which is no input."""


@dataclass(frozen=True)
class CsvOptions:
    """What the user says of a CSV file: None is found by looking, the quote "" wraps nothing."""

    delimiter: str | None = None
    quote: str | None = None
    decimal: Literal[".", ","] | None = None
    header: bool | None = None
    encoding: str | None = None


@dataclass(frozen=True)
class Dialect:
    """How a CSV file is written.

    Attributes:
        short_header: the header has no field for the row index, with which each line begins, as R's
            `write.table` has it.
    """

    delimiter: str
    quote: str | None
    decimal: Literal[".", ","]
    header: bool
    short_header: bool = False


def look(path: Path, given: CsvOptions, where: str) -> Dialect:
    """How a file of plain text is written, by its beginning.

    Args:
        where: what messages call the file.

    Raises:
        UserError: if that is ambiguous, or not as the user says, or the first row holds no names.
    """
    for key, sign in (("data.delimiter", given.delimiter), ("data.quote", given.quote)):
        if sign and sign != "\t" and not (sign.isascii() and sign.isprintable()):
            raise UserError(Fault("must be an ASCII sign", key, repr(sign), remedy=f"leave {key} out"))
    text = _beginning(path, where)
    quote = _quote(text) if given.quote is None else given.quote or None
    delimiter = given.delimiter or max(DELIMITERS, key=lambda mark: _merit(text, mark, quote))
    rows = _rows(text, delimiter, quote)
    faults = _delimiter_faults(text, delimiter, quote, where)
    if not faults and given.header is not False:
        faults = _title_faults(rows, where)
    if "\r" in text and "\n" not in text:
        remedy = "save the file anew as CSV, not as CSV for an old Macintosh"
        faults.append(Fault("its lines end with carriage returns alone", where, remedy=remedy))
    header = given.header is not False
    if given.header is None and rows and all(_is_number(cell) for cell in rows[0]):
        remedy = "data.header=false calls the columns column_1, column_2, …; if it is names: data.header=true"
        found = f"'{_shortened(delimiter.join(rows[0]))}'"
        faults.append(Fault("has no header row", where, found, "names of columns", remedy))
    cells = [cell.strip() for row in rows[header:] for cell in row]
    commas = [cell for cell in cells if COMMA.fullmatch(cell)]
    points = any(POINT.fullmatch(cell) for cell in cells)
    decimal = given.decimal or ("," if commas and not points else ".")
    if decimal == delimiter and not commas:
        remedy = "leave out data.decimal or data.delimiter"
        faults.append(Fault("commas cannot both separate columns and mark decimals", where, remedy=remedy))
    if decimal == "," and not given.decimal and all(THOUSANDS.fullmatch(cell) for cell in commas):
        what = "a comma may mark decimals or thousands"
        remedy = "for decimals: 'data.decimal=\",\"'; for thousands: data.decimal=."
        faults.append(Fault(what, where, f"'{commas[0]}'", remedy=remedy))
    if faults:
        raise UserError(*faults)
    return Dialect(delimiter, quote, decimal, header, header and _has_short_header(rows))


def header_names(path: Path, dialect: Dialect, where: str) -> list[str]:
    """The names of a file's columns, without spaces around them and line breaks; column_1, … if it has none.

    A first column without a name is the row index, `ROW_INDEX`.

    Raises:
        UserError: if the file is empty, or a name is not unique, or blank in another column than the first.
    """
    row = first_row(path, dialect, where)
    if not row:
        raise UserError(Fault("is empty", where, expected="a header line and rows of data"))
    if not dialect.header:
        return [f"column_{number}" for number in range(1, len(row) + 1)]
    row = [ROW_INDEX, *row] if dialect.short_header else row
    names = [BREAK.sub(" ", name.strip()) for name in row]
    faults = [
        Fault(f"has {count} columns '{name}'", where, remedy="give each column a name of its own")
        for name, count in Counter(filter(None, names)).items()
        if count > 1
    ]
    if blank := [str(number) for number, name in enumerate(names[1:], 2) if not name]:
        remedy = "give it a name in the header"
        if blank == [str(len(names))]:
            remedy += ", or remove the delimiter at the end of each line"
        faults.append(Fault(f"has no name for column {listed(blank)}", where, remedy=remedy))
    if faults:
        raise UserError(*faults)
    if spaced := [name for name, written in zip(names, row, strict=True) if name and name != written]:
        what = "%s: spaces around names of columns, and line breaks in them, are left out: %s"
        log.warning(what, where, listed(spaced))
    return names


def first_row(path: Path, dialect: Dialect, where: str) -> list[str]:
    """The fields of the first line that is not empty."""
    rows = _rows(_beginning(path, where), dialect.delimiter, dialect.quote)
    return rows[0] if rows else []


def _has_short_header(rows: list[list[str]]) -> bool:
    """Whether every line has one field more than the header, and begins with a row name as R writes them.

    Row names are unique and not blank. A delimiter at the end of each line gives one field more, too.
    """
    header, *lines = rows or [[]]
    return (
        len(header) > 1
        and len(lines) > 1
        and all(len(line) == len(header) + 1 for line in lines)
        and any(line[-1].strip() for line in lines)
        and len({line[0] for line in lines if line[0].strip()}) == len(lines)
    )


def _beginning(path: Path, where: str) -> str:
    """Whole lines: the first, which may be long, and so many that more than `BEGINNING` bytes follow."""
    with path.open("rb") as file:
        content = file.readline() + file.read(BEGINNING) + file.readline()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(*encoding_faults(path, where)) from error


def _rows(text: str, delimiter: str, quote: str | None) -> list[list[str]]:
    """The fields of each line that is not empty, up to one that cannot be read."""
    lines = StringIO(text.replace("\r", ""))  # alone, it ends a line to csv and to nobody else
    if quote is None:
        reader = csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE)
    else:
        reader = csv.reader(lines, delimiter=delimiter, quotechar=quote)
    rows = []
    try:
        for row in reader:
            if row:
                rows.append(row)
    except csv.Error:  # told by `line_faults`
        pass
    return rows


def _quote(text: str) -> str:
    """The sign that wraps fields: ' only where it does and " does not."""
    wraps = {
        mark: re.search(rf"(?m)(?:^|[,;\t|]){mark}(?:[^{mark}\n]|{mark}{mark})*{mark}\r?(?:$|[,;\t|])", text)
        for mark in "\"'"
    }
    return "'" if wraps["'"] and not wraps['"'] else '"'


def _merit(text: str, delimiter: str, quote: str | None) -> tuple[bool, int, int]:
    """Whether it splits every line into equally many fields, and into how many the first, and a usual one."""
    rows = _rows(text, delimiter, quote) or [[""]]
    widths = [len(row) for row in rows]
    alike = len(set(widths)) == 1 or _has_short_header(rows)
    return widths[0] > 1 and alike, widths[0], median_low(widths)


def _delimiter_faults(text: str, delimiter: str, quote: str | None, where: str) -> list[Fault]:
    rows = _rows(text, delimiter, quote)
    better = max(DELIMITERS, key=lambda mark: _merit(text, mark, quote))
    if not rows or len(rows[0]) > 1 or _merit(text, better, quote)[1] == 1:
        return []
    typed = "" if better == "\t" else f"'data.delimiter=\"{better}\"', or "
    return [
        Fault(
            f"the columns seem to be separated by {DELIMITERS[better]}",
            where,
            found=f"one column '{_shortened(rows[0][0])}'",
            expected=f"columns separated by {DELIMITERS.get(delimiter, repr(delimiter))}",
            remedy=f"{typed}leave data.delimiter out",
        )
    ]


def _title_faults(rows: list[list[str]], where: str) -> list[Fault]:
    """What stands above the header, as spreadsheets write it."""
    usual = median_low(len(row) for row in rows) if rows else 1
    note = bool(rows) and rows[0][0].startswith("sep=")
    if not note and (usual == 1 or len(rows[0]) > 1):
        return []
    what = (
        f"the first line has 1 field, the others {usual}"
        if not note
        else "the first line is a note for Excel"
    )
    found, remedy = f"'{_shortened(rows[0][0])}'", "delete what stands above the names of the columns"
    return [Fault(what, where, found, "names of columns", remedy)]


def _is_number(cell: str) -> bool:
    return any(pattern.fullmatch(cell.strip()) for pattern in (WHOLE, POINT, COMMA))


def _shortened(text: str, longest: int = 60) -> str:
    return text if len(text) <= longest else f"{text[:longest]}…"
