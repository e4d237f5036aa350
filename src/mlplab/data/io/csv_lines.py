"""Lines of a CSV file: which are not as long as the header, which are empty, and where rows begin."""

import csv
from collections.abc import Iterator, Sequence
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import numpy as np
from jaxtyping import Int64

from mlplab.data.io.decompression import BLOCK, encoding_faults
from mlplab.data.io.dialect import Dialect, first_row
from mlplab.errors import Fault

SHOWN = 3
"""Lines of one kind of fault that are told one by one."""

Numbers = Int64[np.ndarray, " record"]


def line_faults(path: Path, dialect: Dialect, width: int, where: str) -> list[Fault]:
    """Why a file of plain text is not lines of `width` fields; nothing if it is. Empty lines are no rows."""
    if faults := encoding_faults(path, where):
        return faults
    first = "the header" if dialect.header and not dialect.short_header else "the first line"
    first += " below the header" * dialect.short_header
    wrong = 0
    try:
        for lines, fields in _below_header(path, dialect, width):
            (odd,) = np.nonzero((fields != width) & (fields != 0))
            faults += [
                Fault(
                    f"the line has {fields[record]} fields, {first} {width}",
                    f"{where}, line {lines[record]}",
                    remedy=f"give every line as many fields as {first}; quote text that holds the delimiter",
                )
                for record in odd[: max(SHOWN - wrong, 0)]
            ]
            wrong += len(odd)
    except csv.Error as error:
        reason, line = error.args
        what = f"a quote is not closed as it should ({reason})"
        remedy = "close the quote, or double one that belongs to the text"
        return [Fault(what, f"{where}, line {line}", remedy=remedy)]
    if wrong > SHOWN:
        faults.append(Fault(f"and {wrong - SHOWN} more lines of another length than {first}", where))
    return faults


def record_lines(path: Path, dialect: Dialect, rows: Sequence[int]) -> list[int]:
    """The line, counted from 1, on which each of these rows of data, counted from 0, begins."""
    wanted = np.asarray(rows, np.int64)
    found = np.zeros_like(wanted)
    before = 0
    width = len(first_row(path, dialect, str(path))) + dialect.short_header
    for lines, fields in _below_header(path, dialect, width):
        lines = lines[fields > 0]
        here = (wanted >= before) & (wanted < before + len(lines))
        found[here] = lines[wanted[here] - before]
        before += len(lines)
    return [int(line) for line in found]


def blank_lines(path: Path, dialect: Dialect, width: int) -> list[int]:
    """Which records below the header, counted from 0, are empty lines: rows to polars, and none to us."""
    blank: list[int] = []
    before = 0
    for _, fields in _below_header(path, dialect, width):
        blank += (before + np.flatnonzero(fields == 0)).tolist()
        before += len(fields)
    return blank


def _below_header(path: Path, dialect: Dialect, width: int) -> Iterator[tuple[Numbers, Numbers]]:
    """As `_records`, below the header; in a file of one column an empty line is a row too."""
    header = dialect.header
    for lines, fields in _records(path, dialect):
        if header:
            if not fields.any():
                continue
            begin = np.flatnonzero(fields)[0] + 1
            lines, fields, header = lines[begin:], fields[begin:], False
        yield lines, np.maximum(fields, 1) if width == 1 else fields


def _records(path: Path, dialect: Dialect) -> Iterator[tuple[Numbers, Numbers]]:
    """Block by block: the line on which each record begins, and how many fields it has; 0 for an empty line.

    Raises:
        csv.Error: of a quote that is not closed: why, and the line on which its record begins.
    """
    line = 1
    with path.open("rb") as file:
        if file.read(3) != b"\xef\xbb\xbf":
            file.seek(0)
        while block := file.read(BLOCK) + file.readline():
            if dialect.quote is not None and dialect.quote.encode() in block:
                lines, fields, read = _quoted(block, file, dialect, line)
                yield lines, fields
            else:
                fields = _plain(block, dialect.delimiter.encode())
                read = len(fields)
                yield line + np.arange(read), fields
            line += read


def _plain(block: bytes, delimiter: bytes) -> Numbers:
    """Fields of each line of a block without quotes."""
    content = np.frombuffer(block, np.uint8)
    ends = np.flatnonzero(content == ord("\n"))
    if not block.endswith(b"\n"):
        ends = np.append(ends, len(content))
    starts = np.append(0, ends[:-1] + 1)
    na_values = np.flatnonzero(content == ord(delimiter))
    fields = np.diff(np.searchsorted(na_values, ends), prepend=0) + 1
    empty = (ends == starts) | ((ends == starts + 1) & (content[starts] == ord("\r")))
    fields[empty] = 0
    return fields


def _quoted(block: bytes, file: BinaryIO, dialect: Dialect, line: int) -> tuple[Numbers, Numbers, int]:
    """Records that begin in a block, the last of which may go on in the file; and how many lines they are."""
    quote = dialect.quote or ""
    quotes = 0

    def texts() -> Iterator[str]:
        nonlocal quotes
        for content in chain(BytesIO(block), file):
            quotes += content.count(quote.encode())
            yield content.decode().replace("\r", "")  # alone, it ends a line to csv and to nobody else

    reader = csv.reader(texts(), delimiter=dialect.delimiter, quotechar=quote, strict=True)
    last = block.count(b"\n") + (not block.endswith(b"\n"))
    lines, fields, read = [], [], 0
    try:
        while read < last:
            fields.append(len(next(reader)))
            lines.append(line + read)
            if quotes % 2:  # csv takes one inside a field for text, polars does not
                raise csv.Error("it has no other")
            read = reader.line_num
    except csv.Error as error:
        raise csv.Error(str(error), line + read) from error
    return np.array(lines), np.array(fields), read
