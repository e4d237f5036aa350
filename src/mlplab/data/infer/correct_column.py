"""Corrects how a column is read, where all rows contradict what the first ones suggested."""

from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

from mlplab.config.data import DURATION
from mlplab.data.cells.dates import CLOCK_FORMATS, NAME_FORMATS
from mlplab.data.cells.number_formats import are_durations
from mlplab.data.cells.parse import MISSING, cells_of, parse_str
from mlplab.data.infer.infer_kind import format_of, number_format_of
from mlplab.data.infer.inferred_column import InferredColumn
from mlplab.data.infer.odd_texts import are_categories

if TYPE_CHECKING:
    from mlplab.data.infer.table_reader import TableReader

FAR = 1000
"""Distance of a column's values from 0, relative to their spread, above which float32 loses digits."""


def correct_column(column: InferredColumn, reader: "TableReader") -> None:
    """Changes how the column is read, if its cells require it, and infers the kind of text.

    Raises:
        UserError: if it contains dates in no known format, or ambiguous dates or numbers.
    """
    definition, is_other = column.definition, column.definition.format in NAME_FORMATS
    if definition.format in CLOCK_FORMATS:
        is_other = not column.bad_texts.str.contains(MISSING).all()
    is_doubtful = column.bad > column.filled or column.must_be_classes or is_other
    if column.bad and (cell_format := _number_format(column, reader)):
        column.read_as("numeric", cell_format)
    elif column.bad and are_categories(column, reader.values(column)):
        column.certain = True
        column.read_as("categorical")
    elif column.bad and is_doubtful and not column.certain:
        column.read_as("categorical")
    elif column.texts is not None and not column.certain:
        kind = column.kind_of(column.texts, column.filled, rows=column.filled + column.missing)
        if kind in ("numeric", "date"):
            column.certain = True
            column.read_as(kind, format_of(kind, column.texts, reader.source, column.name))
        column.kind = kind
    elif definition.kind == "numeric" and column.role == "input" and column.filled and not reader.spec.raw:
        [low], [high] = column.rounded(reader.dtype).tolist()
        if max(low, -high) > FAR * (high - low):  # or all are equal, but rounded
            column.definition = replace(definition, offset=definition.offset + low)


def _number_format(column: InferredColumn, reader: "TableReader") -> str:
    """The format of what were read as plain numbers or times of day, if it reads their bad cells, too."""
    kind, cell_format = column.definition.kind, column.definition.format
    if column.must_be_classes or (column.declared and cell_format):
        return ""
    first = parse_str(cells_of(reader.sample, column.name), reader.spec.na_values).drop_nulls()
    texts = pl.concat([first, column.bad_texts]).unique(maintain_order=True)
    if cell_format in CLOCK_FORMATS:
        return DURATION if are_durations(texts) else ""
    is_plain = kind == "numeric" and not cell_format
    return number_format_of(texts, reader.source, column.name) if is_plain else ""
