"""Decides whether each column of a table is an input (of which kind), left out, or refused."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import polars as pl

from mlplab.data.dates import DATE_PARTS, LAST_YEAR
from mlplab.data.infer.bad_cells import check_cells
from mlplab.data.infer.class_target import class_fault, constant_fault, find_classes, number_note
from mlplab.data.infer.inferred_column import InferredColumn
from mlplab.data.infer.suspicious_numbers import (
    compact_date_note,
    leave_out_row_numbers,
    sentinel_note,
    sentinels,
)
from mlplab.data.infer.table_reader import TableReader
from mlplab.data.infer.table_spec import typed
from mlplab.data.io.header import ROW_INDEX
from mlplab.data.schema import Column
from mlplab.errors import Fault, shortened

MAGNITUDES = (1e-30, 1e30)
"""Bounds of the largest magnitude in a column, whose square float32 can represent."""

FIRST_YEAR = LAST_YEAR - 99

MAX_SIMILAR = 3
"""Largest number of groups of similar labels in a note."""


def infer_columns(reader: TableReader) -> list[InferredColumn]:
    """Completes the columns of a reader; returns them and the columns that are left out unread."""
    check_cells(reader)
    for column in reader.columns:
        match column.role:
            case "target":
                column.faults += _target_faults(column, reader)
            case "weight":
                column.faults += _weight_faults(column, reader)
            case "input" if not column.bad:
                _infer_input(column, reader)
        is_number = column.role in ("input", "target") and column.kind == "numeric" and not column.classes
        if is_number and column.range and not column.faults:
            column.sentinels = sentinels(reader.values(column), *column.range, column.definition.offset)
    leave_out_row_numbers(reader)
    columns = [*reader.columns, *_unread(reader)]
    found = (text for column in columns for text in column.sentinels)
    na_values = dict.fromkeys([*reader.spec.na_values, *found])
    for column in columns:
        column.note = column.note or _note(column, na_values, reader)
    return columns


def _unread(reader: TableReader) -> Iterator[InferredColumn]:
    for name, declared in reader.spec.declared.items():
        match declared:
            case "drop" | "identifier":
                why = "as declared in data.columns"
                yield InferredColumn(name, "input", declared, Column(name, "categorical"), left_out=why)
    if ROW_INDEX in reader.source.schema:
        why = "the row index; to use it, give it a name in the header"
        yield InferredColumn(ROW_INDEX, "input", "row index", Column(ROW_INDEX, "categorical"), left_out=why)


def _infer_input(column: InferredColumn, reader: TableReader) -> None:
    name, texts, missing = column.name, column.texts, column.missing > 0
    if not column.filled:
        column.leave_out("empty", "all values are missing")
    elif texts is None:
        _infer_numbers(column, reader)
    elif column.kind == "constant":
        column.leave_out("constant", f"all values are {shortened(texts[0])}")
    elif column.kind == "identifier":
        what = f"an identifier: {len(texts):,} different texts in {column.filled:,} rows"
        what += f", such as {shortened(texts[0], 20)}; to use it: {typed(name, 'categorical')}"
        column.leave_out("identifier", what)
    else:
        column.keep = (0,)
        column.definition = Column(name, "boolean", missing)
        if column.kind != "boolean":
            column.definition = Column(name, "categorical", missing, categories=tuple(texts.sort()))


def _infer_numbers(column: InferredColumn, reader: TableReader) -> None:
    """Keeps the features that vary, or that are missing in some rows."""
    low, high = column.rounded(reader.dtype)
    is_date = column.definition.kind == "date"
    column.keep = np.flatnonzero((low < high) | (column.missing > 0 and not is_date)).tolist()
    if not column.keep:
        what = f"all values are {column.low[0] + column.definition.offset:g}"
        column.leave_out("constant", "all dates have the same day and hour" if is_date else what)
        return
    parts = tuple(DATE_PARTS[part] for part in column.keep) if is_date else ()
    column.definition = replace(column.definition, missing=column.missing > 0, parts=parts)
    if column.kind == "numeric":
        column.faults = _magnitude_faults(column, reader)
    elif is_date:
        column.faults = _century_faults(column, reader)


def _target_faults(column: InferredColumn, reader: TableReader) -> list[Fault]:
    where, faults = reader.where(column), list[Fault]()
    if column.missing and not reader.spec.drop_missing_targets:
        remedy = "data.missing_target=drop leaves such rows out; or fill in the values"
        what = "a value is missing" + (f"; {column.missing:,} such rows" if column.missing > 1 else "")
        row = int(np.isnan(reader.values(column)).argmax())
        faults.append(Fault(what, reader.place(row, column), remedy=remedy))
    if column.bad:
        return faults
    if not column.filled:
        return [*faults, Fault("all values are missing", where, remedy="choose a different data.target")]
    column.classes = find_classes(column, reader)
    if column.classes:
        fault = class_fault(column.classes, column, reader)
        return [*faults, fault] if fault else faults
    if column.low == column.high:
        return [*faults, constant_fault(f"{column.low[0]:g}", where, reader.rows)]
    return [*faults, *_magnitude_faults(column, reader)]


def _weight_faults(column: InferredColumn, reader: TableReader) -> list[Fault]:
    values = reader.values(column)
    bad = np.isnan(values) | (values < 0)
    if count := int(bad.sum()):
        more = f"; {count:,} such rows" if count > 1 else ""
        remedy = "give each row a weight of 0 or more, or remove data.weight"
        place = reader.place(int(bad.argmax()), column)
        return [Fault(f"is missing or negative{more}", place, remedy=remedy)]
    if not values.any():
        return [Fault("all weights are 0", reader.where(column), remedy="remove data.weight")]
    return []


def _magnitude_faults(column: InferredColumn, reader: TableReader) -> list[Fault]:
    smallest, greatest = MAGNITUDES
    largest = max(column.high[0], -column.low[0])
    if not largest or smallest <= largest <= greatest:
        return []
    what = "the values are too small or too large for float32"
    found, expected = f"{largest:.3g}", f"a largest magnitude between {smallest:g} and {greatest:g}"
    return [Fault(what, reader.where(column), found, expected, "convert them to a different unit")]


def _century_faults(column: InferredColumn, reader: TableReader) -> list[Fault]:
    """Faults of two-digit years that seem to belong to more than one century."""
    first, last = column.range or (0, 0)
    if "%y" not in column.definition.format or first >= FIRST_YEAR + 1 or last < LAST_YEAR:
        return []
    what = "two-digit years are ambiguous"
    found = f"both {LAST_YEAR % 100} and {FIRST_YEAR % 100}, which would be {LAST_YEAR} and {FIRST_YEAR}"
    remedy = f"use four-digit years; or {typed(column.name, 'drop')} leaves it out"
    return [Fault(what, reader.where(column), found, remedy=remedy)]


def _note(column: InferredColumn, na_values: Iterable[str], reader: TableReader) -> str:
    """A note about what may be wrong with a column."""
    if column.sentinels:
        drop_rows = column.role == "target" and not reader.spec.drop_missing_targets
        return sentinel_note(column.sentinels, na_values, drop_rows=drop_rows)
    if column.texts is not None:
        return similar_labels_note(column.texts) if column.kind == "categorical" else ""
    if column.role == "target" and not column.classes and not column.faults:
        return number_note(column, reader)
    if column.is_input and column.kind == "numeric":
        return compact_date_note(column, reader)
    if column.is_input and "%y" in column.definition.format and column.range:
        first, last = map(int, column.range)
        years = f"two-digit years are read as {FIRST_YEAR} to {LAST_YEAR}, here from {first} to {last}"
        return f"{years}; if that is wrong, use four-digit years"
    return ""


def similar_labels_note(labels: pl.Series) -> str:
    """A note about labels that differ only by spaces or case; empty if there are none."""
    label = pl.col("label")
    normalized = label.str.to_lowercase().str.replace_all(r"\s+", " ").alias("normalized")
    groups = labels.rename("label").to_frame().sort("label").group_by(normalized, maintain_order=True).all()
    similar = groups.filter(label.list.len() > 1)["label"]
    if not len(similar):
        return ""
    shown = [", ".join(map(shortened, group)) for group in similar.head(MAX_SIMILAR)]
    more = f"; and {len(similar) - MAX_SIMILAR:,} more such groups" if len(similar) > MAX_SIMILAR else ""
    return f"categories that differ only by spaces or case: {'; '.join(shown)}{more}"
