"""Decides whether each column of a table is an input (of which kind), left out, or refused."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from mlplab.data.date_parts import DATE_PARTS
from mlplab.data.infer.bad_cells import check_cells
from mlplab.data.infer.class_target import class_faults, find_classes, number_note
from mlplab.data.infer.date_checks import century_faults, date_note
from mlplab.data.infer.inferred_column import InferredColumn
from mlplab.data.infer.row_numbers import leave_out_row_numbers
from mlplab.data.infer.sentinels import sentinel_note, sentinels
from mlplab.data.infer.similar_labels import similar_labels_note
from mlplab.data.infer.table_reader import TableReader
from mlplab.data.infer.table_spec import typed
from mlplab.data.io.header import ROW_INDEX
from mlplab.data.schema import Column
from mlplab.errors import Fault, shortened

MAGNITUDES = (1e-30, 1e30)
"""Bounds of the largest magnitude in a column, whose square float32 can represent."""


def infer_columns(reader: TableReader) -> list[InferredColumn]:
    """Completes the columns of a reader; returns them and the columns that are left out unread."""
    check_cells(reader)
    for column in reader.columns:
        if not column.bad:
            _infer(column, reader)
        elif column.role == "target":
            column.faults += _missing_target(column, reader)
        elif column.role == "weight":
            column.faults += _weight_faults(column, reader)
    leave_out_row_numbers(reader)
    columns = [*reader.columns, *_unread(reader)]
    found = (text for column in columns for text in column.sentinels)
    na_values = dict.fromkeys([*reader.spec.na_values, *found])
    for column in columns:
        column.note = column.note or _note(column, na_values, reader)
    return columns


def _unread(reader: TableReader) -> Iterable[InferredColumn]:
    for name, declared in reader.spec.declared.items():
        match declared:
            case "drop" | "identifier":
                yield InferredColumn.unread(name, declared, "as declared in data.columns")
    if ROW_INDEX in reader.source.schema:
        yield InferredColumn.unread(
            ROW_INDEX, "row index", "the row index; to use it, give it a name in the header"
        )


def _infer(column: InferredColumn, reader: TableReader) -> None:
    match column.role:
        case "target":
            column.faults = _target_faults(column, reader)
        case "weight":
            column.faults = _weight_faults(column, reader)
        case "input" if not column.filled:
            column.leave_out("empty", "all values are missing")
        case "input" if column.texts is not None:
            _infer_text(column)
        case "input":
            _infer_numbers(column, reader)
    is_number = column.role in ("input", "target") and column.kind == "numeric" and not column.classes
    if is_number and column.range and not column.faults:
        column.sentinels = sentinels(reader.values(column), *column.range, column.definition.offset)


def _infer_text(column: InferredColumn) -> None:
    assert column.texts is not None
    texts, name, missing = column.texts, column.name, column.missing > 0
    column.keep = (0,)
    match column.kind:
        case "constant":
            column.leave_out("constant", f"all values are {shortened(texts[0])}")
        case "identifier":
            what = f"an identifier: {len(texts):,} different texts in {column.filled:,} rows"
            what += f", such as {shortened(texts[0], 20)}; to use it: {typed(name, 'categorical')}"
            column.leave_out("identifier", what)
        case "boolean":
            column.definition = Column(name, "boolean", missing)
        case _:
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
        column.faults = century_faults(column, reader.where(column))


def _target_faults(column: InferredColumn, reader: TableReader) -> list[Fault]:
    where, faults = reader.where(column), _missing_target(column, reader)
    if not column.filled:
        return [*faults, Fault("all values are missing", where, remedy="choose a different data.target")]
    if classes := find_classes(column, reader):
        column.classes = classes
        return [*faults, *class_faults(classes, column, reader)]
    if column.low == column.high:
        remedy = "there is nothing to predict: choose a different data.target"
        remedy = remedy if reader.rows > 1 else "give the table more rows"
        return [*faults, Fault(f"all values are {column.low[0]:g}", where, remedy=remedy)]
    return [*faults, *_magnitude_faults(column, reader)]


def _missing_target(column: InferredColumn, reader: TableReader) -> list[Fault]:
    if not column.missing or reader.spec.drop_missing_targets:
        return []
    remedy = "data.missing_target=drop leaves such rows out; or fill in the values"
    what = "a value is missing" + (f"; {column.missing:,} such rows" if column.missing > 1 else "")
    row = int(np.isnan(reader.values(column)).argmax())
    return [Fault(what, reader.place(row, column), remedy=remedy)]


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


def _note(column: InferredColumn, na_values: Iterable[str], reader: TableReader) -> str:
    """A note about what may be wrong with a column."""
    if column.sentinels:
        drop_rows = column.role == "target" and not reader.spec.drop_missing_targets
        return sentinel_note(column.sentinels, na_values, drop_rows=drop_rows)
    if column.texts is not None:
        return similar_labels_note(column.texts) if column.kind == "categorical" else ""
    if column.role == "target" and not column.classes and not column.faults:
        return number_note(column, reader)
    return date_note(column, reader) if column.is_input else ""
