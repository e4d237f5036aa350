"""Corrects how a column is read, where all rows contradict what the first ones suggested."""

from dataclasses import replace
from typing import TYPE_CHECKING

from mlplab.data.infer.infer_kind import format_of
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
    definition, texts = column.definition, column.texts
    if column.bad and not column.certain:
        column.read_as("categorical")  # all its texts decide
    elif texts is not None and not column.certain:
        kind = column.kind_of(texts, column.filled, rows=column.filled + column.missing)
        if kind in ("numeric", "date"):
            cell_format, column.certain = format_of(kind, texts, reader.source, column.name), True
            is_plain = kind == "numeric" and not cell_format
            if is_plain and are_categories(texts, reader.values(column)):
                kind = "categorical"
            else:
                column.read_as(kind, cell_format)
        column.kind = kind
    elif definition.kind == "numeric" and column.role == "input" and column.filled and not reader.spec.raw:
        [low], [high] = column.rounded(reader.dtype).tolist()
        if max(low, -high) > FAR * (high - low):  # or all are equal, but rounded
            column.definition = replace(definition, offset=definition.offset + low)
