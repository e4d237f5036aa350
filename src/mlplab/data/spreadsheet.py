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


def harmless_cells(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Rows whose text cells and column names are harmless."""
    texts = (pl.String, pl.Categorical, pl.Enum)
    columns = [name for name, kind in rows.collect_schema().items() if kind in texts]
    return rows.with_columns(_harmless_column(name).alias(name) for name in columns).rename(harmless)


def _harmless_column(name: str) -> pl.Expr:
    # pl.col would take some names for patterns
    text = pl.selectors.by_name(name).as_expr().cast(pl.String)
    runs = text.str.contains(_BEGINS) & ~text.str.contains(_NUMBER)
    return pl.when(runs).then(pl.concat_str(pl.lit("'"), text)).otherwise(text)
