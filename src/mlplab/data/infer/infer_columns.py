"""Decides whether each column of a table is an input (of which kind), left out, or refused."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import polars as pl
from jaxtyping import Bool

from mlplab.data.cells.dates import FIRST_YEAR, LAST_YEAR
from mlplab.data.cells.levels import known_order
from mlplab.data.cells.number_formats import MIN_SIGNED
from mlplab.data.cells.parse import MISSING
from mlplab.data.infer.column_messages import check_cells, column_note, mixed_dates_note
from mlplab.data.infer.infer_kind import can_be_typed
from mlplab.data.infer.infer_task import LARGEST_INTEGER, class_fault, constant_fault, find_classes
from mlplab.data.infer.inferred_column import InferredColumn
from mlplab.data.infer.suspicious_numbers import leave_out_row_numbers, sentinels
from mlplab.data.infer.table_reader import TableReader
from mlplab.data.infer.table_spec import typed
from mlplab.data.io.dialect import ROW_INDEX
from mlplab.data.schema import Column
from mlplab.errors import Fault, listed, shortened

MAGNITUDES = (1e-30, 1e30)  # bounds of the largest magnitude in a column, whose square float32 can represent


def infer_columns(reader: TableReader) -> list[InferredColumn]:
    """Completes the columns of a reader; returns them and the columns that are left out unread."""
    check_cells(reader)
    for column in reader.columns:
        match column.role:
            case "target" if not column.faults or column.bad:
                column.faults += _target_faults(column, reader)
            case "weight":
                column.faults += _weight_faults(column, reader)
            case "input" if not column.bad:
                _infer_input(column, reader)
        column.faults += _sign_faults(column, reader)
        is_number = column.role in ("input", "target") and column.kind == "numeric" and not column.classes
        is_plain = is_number and not column.definition.format
        if is_plain and column.range and not column.faults:
            column.sentinels = sentinels(reader.values(column), *column.range, column.definition.offset)
    leave_out_row_numbers(reader)
    likely = [text for column in reader.columns for text in column.sentinels]
    for column in reader.columns:
        column.note = "; ".join(filter(None, (column.note, column_note(column, likely, reader))))
    return [*reader.columns, *_unread(reader)]


def _unread(reader: TableReader) -> Iterator[InferredColumn]:
    for name in reader.spec.left_out:
        why = "as declared in data.columns"
        yield InferredColumn(name, "input", "drop", Column(name, "categorical"), left_out=why)
    if ROW_INDEX in reader.source.schema:
        why = "the row index; to use it, give it a name in the header"
        yield InferredColumn(ROW_INDEX, "input", "row index", Column(ROW_INDEX, "categorical"), left_out=why)


def _infer_input(column: InferredColumn, reader: TableReader) -> None:
    name, texts = column.name, column.texts
    if not column.filled:
        column.leave_out("empty", "all values are missing")
    elif texts is None:
        _infer_numbers(column, reader)
    elif reader.spec.declared.get(name) == "ordinal":
        _infer_levels(column, texts, reader)
    elif (known := reader.spec.levels.get(name, ())) and {*texts} <= {*known}:
        column.use_as("categorical", known)
    elif column.kind == "constant":
        column.leave_out("constant", f"all values are {shortened(texts[0])}")
    elif column.kind in ("identifier", "text"):
        what, remedy = "an identifier", typed(name, "categorical")
        if column.kind == "text":
            what, remedy = "free text, which is not read", "add columns for what it says"
        found = f"{what}: {len(texts):,} different texts in {column.filled:,} rows; to use it: {remedy}"
        column.leave_out(column.kind, mixed_dates_note(name, texts) or found)
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
            remedy += f"; if it stands for a missing value: {spec.typed_missing(lacking)}"
        if not can_be_typed(pl.Series(both)):
            kinds = f"{typed(name, 'categorical')}, or {typed(name, 'drop')}"
            remedy = f"list all {len(both):,} in order, the lowest first; if they have no order: {kinds}"
        column.faults = [Fault(what, reader.where(column), remedy=remedy)]


def _infer_numbers(column: InferredColumn, reader: TableReader) -> None:
    """Keeps the features that vary, or that are missing in some rows."""
    low, high = column.rounded(reader.dtype)
    is_date = column.definition.kind == "date"
    column.keep = np.flatnonzero((low < high) | (column.missing > 0 and not is_date)).tolist()
    if not column.keep:
        value = column.low[0] + column.definition.offset
        what = f"all values are {'about ' * (abs(value) > LARGEST_INTEGER)}{value:g}"
        column.leave_out("constant", "all dates have the same day and hour" if is_date else what)
        return
    parts = tuple(column.definition.parts[part] for part in column.keep) if is_date else ()
    column.definition = replace(column.definition, missing=column.missing > 0, parts=parts)
    column.faults = [*(_century_faults if is_date else _magnitude_faults)(column, reader)]


def _target_faults(column: InferredColumn, reader: TableReader) -> Iterator[Fault]:
    where = reader.where(column)
    if not reader.spec.drop_missing_targets:
        remedy = "data.missing_target=drop leaves such rows out; or fill in the values"
        yield from _row_faults(np.isnan(reader.values(column)), "a value is missing", remedy, column, reader)
    if column.bad:
        return
    if not column.filled:
        yield Fault("all values are missing", where, remedy="choose a different data.target")
        return
    column.classes = find_classes(column, reader)
    if column.classes:
        if fault := class_fault(column.classes, column, reader):
            yield fault
    elif column.low == column.high:
        yield constant_fault(f"{column.low[0]:g}", where)
    else:
        yield from _magnitude_faults(column, reader)


def _weight_faults(column: InferredColumn, reader: TableReader) -> Iterator[Fault]:
    values = reader.values(column)
    if not values.any():
        yield Fault("all weights are 0", reader.where(column), remedy="remove data.weight")
        return
    is_bad = np.isnan(values) | (values < 0)
    remedy = "give each row a weight of 0 or more, or remove data.weight"
    yield from _row_faults(is_bad, "is missing or negative", remedy, column, reader)


def _sign_faults(column: InferredColumn, reader: TableReader) -> Iterator[Fault]:
    written = column.definition.format
    if column.unsigned > (1 - MIN_SIGNED) * column.filled and not column.declared:
        what = f"{column.unsigned:,} of {column.filled:,} numbers are not written like {written}"
        remedy = f"if they have the same unit: {typed(column.name, written)}; else convert them"
        yield Fault(what, reader.where(column), remedy=remedy)


def _row_faults(
    is_bad: Bool[np.ndarray, " row"], what: str, remedy: str, column: InferredColumn, reader: TableReader
) -> Iterator[Fault]:
    if count := int(is_bad.sum()):
        what += f"; {count:,} such rows" if count > 1 else ""
        yield Fault(what, reader.place(int(is_bad.argmax()), column), remedy=remedy)


def _magnitude_faults(column: InferredColumn, reader: TableReader) -> Iterator[Fault]:
    smallest, greatest = MAGNITUDES
    largest = max(column.high[0], -column.low[0])
    if largest and not smallest <= largest <= greatest:
        what = "the values are too small or too large for float32"
        found, expected = f"{largest:.3g}", f"a largest magnitude between {smallest:g} and {greatest:g}"
        yield Fault(what, reader.where(column), found, expected, "convert them to a different unit")


def _century_faults(column: InferredColumn, reader: TableReader) -> Iterator[Fault]:
    first, last = column.range or (0, 0)
    if "%y" in column.definition.format and first < FIRST_YEAR + 1 and last >= LAST_YEAR:
        found = f"both {LAST_YEAR % 100} and {FIRST_YEAR % 100}, which would be {LAST_YEAR} and {FIRST_YEAR}"
        remedy = f"use four-digit years; or {typed(column.name, 'drop')} leaves it out"
        yield Fault("two-digit years are ambiguous", reader.where(column), found, remedy=remedy)
