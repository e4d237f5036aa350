"""Text for CSV files that a spreadsheet may open: what it would run as a formula gets a ' before it.

What begins with = + - @, a tab or a line's end is a formula to some of them (OWASP, "CSV Injection"), unless
it is a number or a lone sign.
"""

import re

import polars as pl

_BEGINS = r"^\s*[=+\-@＝＋－＠]|^[\t\r\n]"
_NUMBER = r"^\s*[+\-]?((\d+([.,]\d*)*|[.,]\d+)([eE][+\-]?\d+)?%?|[iI]nf(inity)?|[nN]a[nN])?\s*$"


def harmless(text: str) -> str:
    """The text, or with a ' before it."""
    return f"'{text}" if re.search(_BEGINS, text) and not re.search(_NUMBER, text) else text


def harmless_cells(text: pl.Series) -> pl.Series:
    """Cells that are harmless; the same series where all are."""
    if not text.str.contains(_BEGINS).any():
        return text
    runs = text.str.contains(_BEGINS) & ~text.str.contains(_NUMBER)
    return text.zip_with(~runs.fill_null(value=False), "'" + text)


def needs_quotes(text: pl.Series) -> bool:
    """Whether a cell must stand in quotes in CSV; an empty one does, or it would be missing."""
    return bool(text.str.contains_any(['"', ",", "\n", "\r"]).any() or (text.str.len_bytes() == 0).any())
