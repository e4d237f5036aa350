"""Writes frames as CSV, with quotes only where necessary.

On request, puts a ' before text that a spreadsheet may interpret as a formula: text that begins with = + - @,
a tab or a line break (OWASP, "CSV Injection"), unless it is a number or a single sign.
"""

from collections.abc import Callable, Collection, Iterable
from io import BytesIO
from typing import Literal

import polars as pl
from typing_extensions import Buffer

from mlplab.data.cells.parse import cells_of, is_text

# A frame, and the names of its text columns of plain numbers, which need no quotes.
FrameAndNumbers = tuple[pl.DataFrame, Collection[str]]


def write_csv(
    frames: Iterable[FrameAndNumbers], write: Callable[[Buffer], object], *, escape_formulas: bool = False
) -> None:
    """Writes frames with the same columns, below a header."""
    for number, (frame, plain) in enumerate(frames):
        names = _escape(pl.Series(frame.columns)) if escape_formulas else frame.columns
        header = dict(zip(frame.columns, names, strict=True))
        texts = [name for name, dtype in frame.schema.items() if is_text(dtype) and name not in plain]
        escaped = [_escape(cells_of(frame, name)).alias(name) for name in texts if escape_formulas]
        # Through memory: polars gives no reason when it cannot write to a file.
        content = BytesIO()
        quotes: Literal["necessary", "never"] = "necessary" if texts or number == 0 else "never"
        escaped_frame = frame.with_columns(escaped).rename(header)
        escaped_frame.write_csv(content, include_header=number == 0, quote_style=quotes)
        write(content.getbuffer())


def _escape(cells: pl.Series) -> pl.Series:
    text = cells.cast(pl.String)
    number = r"^\s*[+\-]?((\d+([.,]\d*)*|[.,]\d+)([eE][+\-]?\d+)?%?|[iI]nf(inity)?|[nN]a[nN])?\s*$"
    is_formula = text.str.contains(r"^\s*[=+\-@＝＋－＠]|^[\t\r\n]") & ~text.str.contains(number)
    return text.zip_with(~is_formula.fill_null(value=False), "'" + text)
