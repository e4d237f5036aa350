"""Notes on columns: how they are read where that may surprise, and what may be wrong with them."""

from collections.abc import Iterable, Iterator

import polars as pl

from mlplab.data.cells.dates import FIRST_YEAR, LAST_YEAR, mixed_formats
from mlplab.data.cells.levels import known_order
from mlplab.data.cells.number_formats import parse_number
from mlplab.data.cells.parse import cells_of, parse_str
from mlplab.data.infer.infer_kind import typed_formats
from mlplab.data.infer.infer_task import whole_target_note
from mlplab.data.infer.inferred_column import InferredColumn
from mlplab.data.infer.odd_texts import can_be_typed
from mlplab.data.infer.suspicious_numbers import compact_date_note, sentinel_note
from mlplab.data.infer.table_reader import TableReader
from mlplab.data.infer.table_spec import typed
from mlplab.errors import listed, shortened

MIN_LEVELS, MAX_LEVELS = 3, 100
"""Numbers of levels whose order is offered: that of two does not matter, and more take long to compare."""


def column_note(column: InferredColumn, likely: Iterable[str], reader: TableReader) -> str:
    """How a column is read where that may surprise, and what may be wrong with it; empty if nothing is."""
    if column.sentinels:
        return sentinel_note(column, likely, reader)
    if column.texts is not None:
        return "; ".join(filter(None, _text_notes(column, column.texts, reader)))
    if column.kind == "numeric" and column.definition.format and not column.faults:
        return number_format_note(column, reader)
    if column.role == "target" and not column.classes and not column.faults:
        return whole_target_note(column, reader)
    if column.is_input and column.kind == "numeric":
        return compact_date_note(column, reader)
    if column.is_input and "%y" in column.definition.format and column.range:
        first, last = map(int, column.range)
        years = f"two-digit years are read as {FIRST_YEAR} to {LAST_YEAR}, here from {first} to {last}"
        return f"{years}; if that is wrong, use four-digit years"
    return ""


def _text_notes(column: InferredColumn, texts: pl.Series, reader: TableReader) -> Iterator[str]:
    if column.kind == "categorical":
        yield similar_labels_note(texts, "classes" if column.classes else "categories")
        yield odd_texts_note(column, reader)
    if column.is_input and column.name not in reader.spec.declared:
        levels = known_order(texts.to_list()) if MIN_LEVELS <= len(texts) <= MAX_LEVELS else ()
        if levels:
            shown, ordinal = listed(map(shortened, levels)), typed(column.name, "ordinal")
            yield f"its values have an order: {shown}; to use it: {ordinal}"
        yield mixed_dates_note(column.name, texts)


def number_format_note(column: InferredColumn, reader: TableReader) -> str:
    """How formatted numbers are read, by an example."""
    texts = parse_str(cells_of(reader.sample, column.name), reader.spec.na_values).drop_nulls()
    values = parse_number(texts, (), column.definition.format)
    read = texts.is_not_null() & values.is_not_null() & texts.cast(pl.Float64, strict=False).is_null()
    examples = (f": {shortened(texts[row])} is {values[row]:.10g}" for row in read.arg_true().head(1))
    return f"read as numbers written like {column.definition.format}{next(examples, '')}"


def odd_texts_note(column: InferredColumn, reader: TableReader) -> str:
    """Which texts make categories of a column of numbers, and how to read numbers nevertheless."""
    texts = column.texts
    if texts is None or column.declared or column.must_be_classes:
        return ""
    odd = texts.filter(texts.cast(pl.Float64, strict=False).is_null()).sort()
    if not 0 < 2 * len(odd) < len(texts):
        return ""
    what = f"read as {'classes' if column.classes else 'categories'}"
    why = f"because of {listed(map(shortened, odd), 3)} beside numbers"
    if not can_be_typed(odd):
        return f"{what}, {why}"
    missing = reader.spec.typed_missing(odd, column.role)
    return f"{what}, {why}; to read numbers instead, and such cells as missing: {missing}"


def similar_labels_note(labels: pl.Series, noun: str) -> str:
    """A note about labels that are the same but for case or inner spaces; empty if there are none."""
    normalized = labels.str.to_lowercase().str.replace_all(r"\s+", " ").alias("normalized")
    frame = pl.DataFrame([labels.alias("label"), normalized]).filter(pl.col("normalized").is_duplicated())
    similar = listed(map(shortened, frame.sort("normalized", "label")["label"]))
    what = f"{similar} differ only by case or inner spaces and are separate {noun}"
    return f"{what}; to merge them, write them in the same way in the table" if similar else ""


def mixed_dates_note(name: str, texts: pl.Series) -> str:
    """A note that offers to read a column's texts as dates in several formats; empty if they are not."""
    formats = mixed_formats(texts)
    return f"dates in several formats; to read them: {typed_formats(name, formats)}" if formats else ""
