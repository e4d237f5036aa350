"""Reads a source into a table: infers its columns, drops those that are not inputs, sorts categories."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import polars as pl
from jaxtyping import Float

from mlplab.config.data import number_label
from mlplab.data.cells.level_order import known_order
from mlplab.data.cells.parse import MISSING
from mlplab.data.class_labels import BOOLEAN_LABELS, find_label
from mlplab.data.infer.block_reader import TableReader
from mlplab.data.infer.column_messages import (
    LARGEST_INTEGER,
    check_cells,
    class_fault,
    column_note,
    constant_fault,
    mixed_dates_note,
    row_faults,
    value_faults,
)
from mlplab.data.infer.infer_kind import can_be_typed
from mlplab.data.infer.inferred_column import InferredColumn
from mlplab.data.infer.suspicious_numbers import leave_out_row_numbers, sentinels
from mlplab.data.infer.table_spec import titled, typed
from mlplab.data.io.dialect import ROW_INDEX
from mlplab.data.schema import Schema
from mlplab.data.table import BLOCK, Table
from mlplab.errors import Fault, UserError, listed, refusal, shortened

MAX_WARNINGS = 10  # largest number of columns that get their own warning

log = logging.getLogger(__name__)


def read_table(reader: TableReader) -> Table:
    """Reads a source into a table. Warns about columns that are left out or suspicious.

    Raises:
        UserError: with all faults of the table.
    """
    columns = infer_columns(reader.read())
    table = build_table(reader, columns)
    asked = reader.spec.left_out
    unasked = [(name, why) for name, why in table.schema.left_out.items() if name not in asked]
    notes = [*{column.name: column.note for column in columns if column.note}.items()]
    for action, messages in (("leaving out ", unasked), ("", notes)):
        for name, why in messages[:MAX_WARNINGS]:
            log.warning("%s: %s%s: %s", table.source, action, titled(name), why)
        if more := [name for name, _ in messages[MAX_WARNINGS:]]:
            log.warning("%s: %s%s more such columns: %s", table.source, action, len(more), listed(more))
    return table


def infer_columns(reader: TableReader) -> list[InferredColumn]:
    """Completes the columns of a reader; returns them and the columns that are left out unread."""
    check_cells(reader)
    for column in reader.columns:
        if column.role == "target" and (not column.faults or column.bad):
            column.faults += _target_faults(column, reader)
        elif column.role == "input" and not column.bad:
            _infer_input(column, reader)
        column.faults += value_faults(column, reader)
        is_number = column.role in ("input", "target") and column.kind == "numeric" and not column.classes
        is_plain = is_number and not column.definition.format
        if is_plain and column.range and not column.faults:
            column.sentinels = sentinels(reader.values(column), *column.range, column.definition.offset)
    leave_out_row_numbers(reader)
    for column in reader.columns:
        column.note = "; ".join(filter(None, (column.note, column_note(column, reader))))
    why = "as declared in data.columns"
    unread = [InferredColumn(name, "input", "drop", left_out=why) for name in reader.spec.left_out]
    if ROW_INDEX in reader.source.schema:
        why = "the row index; to use it, give it a name in the header"
        unread.append(InferredColumn(ROW_INDEX, "input", "row index", left_out=why))
    return [*reader.columns, *unread]


def build_table(reader: TableReader, columns: Sequence[InferredColumn]) -> Table:
    """Makes a table of the reader's matrices, in the same memory, and the columns of `infer_columns`.

    Raises:
        UserError: with all faults of the table.
    """
    where, spec = reader.source.where, reader.spec
    if reader.rows == 0:
        reader.source.check_lines()  # a quote may be open since the header
        raise refusal("has a header but no rows", where, "give it rows of data")
    if faults := [fault for column in columns for fault in column.faults]:
        raise UserError(*faults)
    left_out = {column.name: column.left_out for column in columns if column.left_out}
    inputs = [column for column in columns if column.is_input]
    if not inputs:
        reasons = "; ".join(f"{titled(name)}: {why}" for name, why in left_out.items())
        what = f"has no column that can be an input ({reasons or 'there is no other'})"
        raise refusal(what, where, "add an input, or declare a kind, as in data.columns.NAME=categorical")
    for column in columns:
        if (texts := column.texts) is not None and (column.is_input or column.role == "group"):
            definition, codes = column.definition, reader.values(column)
            if column.role == "group":
                definition = replace(definition, categories=tuple(texts.sort()))
            # The codes of texts while reading become those in order, or 0 and 1; NaN stays.
            final = np.array([*definition.parse(texts, (), decimal_comma=False), np.nan], codes.dtype)
            for start in range(0, len(codes), BLOCK):
                block = codes[start : start + BLOCK]
                block[:] = final[np.where(np.isnan(block), len(texts), block).astype(np.int64)]
    numbers = [column for column in columns if column.role in ("target", "weight")]
    classified = next((column for column in columns if column.classes), columns[0])
    schema = Schema(
        tuple(column.definition for column in inputs),
        tuple(spec.named("target")),
        classes=tuple(classified.classes),
        class_kind=classified.class_kind,
        weight=next(iter(spec.named("weight")), None),
        na_values=spec.na_values,
        na_values_by_column=spec.na_values_by_column,
        number_formats={of.name: of.definition.format for of in numbers if of.definition.format},
        left_out=left_out,
    )
    identifying = [column for column in columns if column.kind in ("identifier", "row number")]
    is_in_memory = not isinstance(reader.features, np.memmap)
    identifiers = pl.DataFrame([_cells(column, reader) for column in identifying if is_in_memory])
    keep = [column.location.start + feature for column in inputs for feature in column.keep]
    others = {f"{of.role}": reader.values(of) for of in columns if of.role in ("weight", "group", "time")}
    weight, y = others.pop("weight", None), reader.others[:, : len(schema.targets)]
    rows = np.flatnonzero(np.isfinite(y).all(1))
    return Table(where, schema, _compacted(reader.features, keep), y, weight, others, rows, identifiers)


def _cells(column: InferredColumn, reader: TableReader) -> pl.Series:
    """The texts or whole numbers of a column."""
    values = pl.Series(column.name, reader.values(column), nan_to_null=True).cast(pl.Float64)
    if column.texts is None:
        return (values + column.definition.offset).round().cast(pl.Int64)
    return column.texts.gather(values.cast(pl.UInt32)).alias(column.name)


def _infer_input(column: InferredColumn, reader: TableReader) -> None:
    name, texts = column.name, column.texts
    if not column.filled:
        column.kind, column.left_out = "empty", "all values are missing"
    elif texts is None:
        _infer_numbers(column, reader)
    elif reader.spec.declared.get(name) == "ordinal":
        _infer_levels(column, texts, reader)
    elif (known := reader.spec.levels.get(name, ())) and {*texts} <= {*known}:
        column.use_as("categorical", known)
    elif column.kind == "constant":
        column.left_out = f"all values are {shortened(texts[0])}"
    elif column.kind in ("identifier", "text"):
        what, remedy = "an identifier", typed(name, "categorical")
        if column.kind == "text":
            what, remedy = "free text, which is not read", "add columns for what it says"
        found = f"{what}: {len(texts):,} different texts in {column.filled:,} rows; to use it: {remedy}"
        column.left_out = mixed_dates_note(name, texts) or found
    elif column.kind == "boolean":
        column.use_as("boolean")
    else:
        column.use_as("categorical", texts.sort())


def _infer_levels(column: InferredColumn, texts: pl.Series, reader: TableReader) -> None:
    """Puts the levels of an ordinal column in the order that is listed or known; else a fault."""
    name, spec = column.name, reader.spec
    likely = texts.filter(~texts.str.contains(MISSING))
    levels = spec.levels.get(name) or known_order(texts.to_list()) or known_order(likely.to_list())
    column.use_as("ordinal", levels)
    lacking = [text for text in texts.sort() if text not in levels]
    if lacking:
        what, both = "the order of its values is not known", [*levels, *lacking]
        remedy = f"list all in order, the lowest first: {typed(name, both)}"
        if levels:
            what = f"the levels lack {listed(map(shortened, lacking), 5)}"
            remedy += f"; if it stands for a missing value: {spec.typed_missing(name, lacking)}"
        if not can_be_typed(pl.Series(both)):
            kinds = f"{typed(name, 'categorical')}, or {typed(name, 'drop')}"
            remedy = f"list all {len(both):,} in order, the lowest first; if they have no order: {kinds}"
        column.faults = [Fault(what, reader.where(column), remedy=remedy)]


def _infer_numbers(column: InferredColumn, reader: TableReader) -> None:
    low, high = column.rounded(reader.dtype)
    is_date = column.definition.kind == "date"
    column.keep = np.flatnonzero((low < high) | (column.missing > 0 and not is_date)).tolist()
    if not column.keep:
        value = column.low[0] + column.definition.offset
        what = f"all values are {'about ' * (abs(value) > LARGEST_INTEGER)}{value:g}"
        column.kind = "constant"
        column.left_out = "all dates have the same day and hour" if is_date else what
        return
    parts = tuple(column.definition.parts[part] for part in column.keep) if is_date else ()
    column.definition = replace(column.definition, missing=column.missing > 0, parts=parts)


def _target_faults(column: InferredColumn, reader: TableReader) -> Iterator[Fault]:
    where = reader.where(column)
    if not reader.spec.drop_missing_targets:
        remedy = "data.missing_target=drop leaves such rows out; or fill in the values"
        yield from row_faults(np.isnan(reader.values(column)), "a value is missing", remedy, column, reader)
    if column.bad:
        return
    if not column.filled:
        yield Fault("all values are missing", where, remedy="choose a different data.target")
        return
    _find_classes(column, reader)
    if column.classes:
        if fault := class_fault(column, reader):
            yield fault
    elif column.low == column.high:
        yield constant_fault(f"{column.low[0]:g}", where)


def _find_classes(column: InferredColumn, reader: TableReader) -> None:
    """Finds the classes of a target, whose values become their numbers, unless they are numbers."""
    spec, values = reader.spec, reader.values(column)
    is_number = spec.asks_for_numbers or spec.declared.get(column.name) == "numeric"
    if is_number and not spec.asks_for_classes:
        return
    present = ~np.isnan(values)
    known, low, high = values[present], column.low[0], column.high[0]
    has_two_values = low < high and ((known == low) | (known == high)).all()
    if column.texts is not None:
        labels, codes = column.texts.to_list(), known.astype(np.int64)
    elif column.kind == "boolean" or spec.asks_for_classes or has_two_values:
        column.class_kind = kind = "boolean" if column.kind == "boolean" else "number"
        distinct, codes = np.unique(known, return_inverse=True)
        labels = [
            BOOLEAN_LABELS[int(value)] if kind == "boolean" else number_label(value)
            for value in distinct.tolist()
        ]
    else:
        return
    order = np.argsort(labels) if column.class_kind == "text" else np.arange(len(labels))
    if len(labels) == 2 and find_label(spec.positive or "", labels) == labels[order[0]]:
        order = order[::-1]
    counts = np.bincount(codes, minlength=len(labels))
    values[present] = np.argsort(order)[codes]
    column.classes = {labels[place]: int(counts[place]) for place in order}


def _compacted(matrix: Float[np.ndarray, "row column"], keep: Sequence[int]) -> Float[np.ndarray, "row kept"]:
    """Some of a matrix's columns, as a matrix in the same memory."""
    rows, width = len(matrix), len(keep)
    if list(keep) == list(range(matrix.shape[1])):
        return matrix
    compacted = matrix.reshape(-1)[: rows * width].reshape(rows, width)
    for start in range(0, rows, BLOCK):
        compacted[start : start + BLOCK] = matrix[start : start + BLOCK][:, keep]
    return compacted
