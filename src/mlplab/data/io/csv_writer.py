"""Writes frames as CSV, with quotes only where necessary.

On request, puts a ' before text that a spreadsheet may interpret as a formula: text that begins with = + - @,
a tab or a line break (OWASP, "CSV Injection"), unless it is a number or a single sign.
"""

import re
from collections.abc import Callable, Collection, Iterable
from io import BytesIO

import polars as pl

from mlplab.data.parse import cells_of, is_text

_BEGINS = r"^\s*[=+\-@＝＋－＠]|^[\t\r\n]"
_NUMBER = r"^\s*[+\-]?((\d+([.,]\d*)*|[.,]\d+)([eE][+\-]?\d+)?%?|[iI]nf(inity)?|[nN]a[nN])?\s*$"


def write_csv(
    frames: Iterable[tuple[pl.DataFrame, Collection[str]]],
    write: Callable[[bytes | memoryview], object],
    *,
    escape_formulas: bool = False,
) -> None:
    """Writes frames with the same columns, below a header.

    Args:
        frames: the frames, each with the names of its text columns of plain numbers, which need no quotes.
        write: writes bytes to the output.
        escape_formulas: whether to put a ' before text that a spreadsheet may interpret as a formula.
    """
    for number, (frame, plain) in enumerate(frames):
        if number == 0:
            header = frame.clear()
            write((header.rename(escape_formula) if escape_formulas else header).write_csv().encode())
        texts = [name for name, dtype in frame.schema.items() if is_text(dtype) and name not in plain]
        escaped = [_escape_cells(cells_of(frame, name)).alias(name) for name in texts if escape_formulas]
        # Through memory: polars gives no reason when it cannot write to a file.
        content = BytesIO()
        frame.with_columns(escaped).write_csv(
            content, include_header=False, quote_style="necessary" if texts else "never"
        )
        write(content.getbuffer())


def escape_formula(text: str) -> str:
    """Puts a ' before text that a spreadsheet may interpret as a formula."""
    return f"'{text}" if re.search(_BEGINS, text) and not re.search(_NUMBER, text) else text


def _escape_cells(cells: pl.Series) -> pl.Series:
    text = cells.cast(pl.String)
    is_formula = text.str.contains(_BEGINS) & ~text.str.contains(_NUMBER)
    return text.zip_with(~is_formula.fill_null(value=False), "'" + text)
