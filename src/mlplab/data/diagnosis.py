"""What is wrong with a CSV file that does not read as it should, line by line. Slow, and only run then."""

import csv
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from mlplab.data.numbers import cell_faults
from mlplab.errors import Fault

SHOWN = 3
"""Lines of one kind of fault that are told one by one."""


def number_faults(path: Path, header: Sequence[str], target: str) -> list[Fault]:
    """Why a file does not read as finite numbers."""
    faults, lines = _records(path, len(header))
    if faults:
        return faults
    try:
        text = pl.read_csv(path, infer_schema=False, glob=False)
    except pl.exceptions.PolarsError as error:
        return [Fault(f"cannot be read as CSV: {str(error).strip().partition(chr(10))[0]}", str(path))]
    if text.height == len(lines):  # a line without anything is a row to polars, and none to us
        filled = [row for row, line in enumerate(lines) if line is not None]
        text, known = text[filled], [line for line in lines if line is not None]
    else:
        known = None
    faults = cell_faults(text, header, str(path), lines=known, target=target, missing=False)
    return faults or [Fault("cannot be read as CSV of numbers", str(path))]


def text_faults(path: Path, width: int) -> list[Fault]:
    """Why a file does not read as lines of `width` fields."""
    return _records(path, width)[0]


def _records(path: Path, width: int) -> tuple[list[Fault], list[int | None]]:
    """Faults of the text, and the line where each record after the header begins; None for an empty line."""
    if fault := _encoding_fault(path):
        return [fault], []
    faults: list[Fault] = []
    lines: list[int | None] = []
    wrong, start = 0, 1
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file, strict=True)
        try:
            next(reader, None)
            start = reader.line_num + 1
            for fields in reader:
                lines.append(start if fields else None)
                if fields and len(fields) != width:
                    wrong += 1
                    if wrong <= SHOWN:
                        faults.append(
                            Fault(
                                f"the line has {len(fields)} fields, the header {width}",
                                f"{path}, line {start}",
                                remedy="give every line as many fields as the header; quote text with commas",
                            )
                        )
                start = reader.line_num + 1
        except csv.Error as error:
            remedy = "close the quote, or double one that belongs to the text"
            return [
                Fault(f"a quote is not closed as it should ({error})", f"{path}, line {start}", remedy=remedy)
            ], []
    if wrong > SHOWN:
        faults[-1] = Fault(f"and {wrong - SHOWN + 1} more lines of another length than the header", str(path))
    return faults, lines


def _encoding_fault(path: Path) -> Fault | None:
    with path.open("rb") as file:
        for line, content in enumerate(file, 1):
            try:
                content.decode("utf-8")
            except UnicodeDecodeError as error:
                return Fault(
                    f"byte {content[error.start]:#04x} is not UTF-8 text",
                    f"{path}, line {line}",
                    remedy="save the file with the encoding UTF-8",
                )
    return None
