"""Infers from the table's first rows how each column is read at first."""

import shlex
from dataclasses import replace

import polars as pl

from mlplab.data.dates import is_datetime
from mlplab.data.infer.infer_kind import date_format_of, infer_kind, known_kind, target_kind
from mlplab.data.infer.inferred_column import InferredColumn
from mlplab.data.infer.table_spec import KEYS, LEFT_OUT, Role, TableSpec, titled, typed
from mlplab.data.io.source import Source
from mlplab.data.parse import Kind, cells_of, is_text, parse_str, plain_floats
from mlplab.data.schema import Column
from mlplab.errors import Fault, UserError

SAMPLE = 4096
"""The number of first rows."""


def columns_by_sample(source: Source, spec: TableSpec, sample: pl.DataFrame) -> list[InferredColumn]:
    """The columns to read: inputs in the table's order, then columns in all other roles.

    Raises:
        UserError: with all columns that cannot be read.
    """
    others = {name for name, role in spec.roles if role not in ("time", "class")}
    roles: list[tuple[str, Role]] = []
    for name in source.names:
        declared = spec.declared.get(name)
        if declared not in LEFT_OUT and (name not in others or (declared and name in spec.named("group"))):
            roles.append((name, "input"))
    columns: list[InferredColumn] = []
    faults: list[Fault] = []
    for name, role in (*roles, *spec.roles):
        try:
            columns.append(_column_by_sample(name, role, source, spec, sample))
        except UserError as error:
            faults += error.faults
    if faults:
        raise UserError(*faults)
    return columns


def _column_by_sample(
    name: str, role: Role, source: Source, spec: TableSpec, sample: pl.DataFrame
) -> InferredColumn:
    dtype, cells = source.schema[name], cells_of(sample, name)
    asks_for_numbers = role == "target" and spec.asks_for_numbers
    declared = spec.declared.get(name, "numeric" if asks_for_numbers else "")
    is_number = role == "weight" or declared in ("numeric", "boolean")
    is_not_number = is_datetime(dtype) and (is_number or role == "target")
    if is_not_number or dtype.is_nested() or dtype in (pl.Binary, pl.Time, pl.Duration, pl.Object):
        remedy = (
            f"{typed(name, 'drop')} leaves it out" if role == "input" else f"choose a different {KEYS[role]}"
        )
        expected = "neither a number nor a class" if role == "target" else "not a number"
        what = f"has type {dtype}, {expected if is_not_number else 'which is not supported'}"
        raise UserError(Fault(what, f"{source.where}, {titled(name, role)}", remedy=remedy))
    if asks_for_numbers and len(spec.named("target")) > 1 and _has_classes(cells, source, spec):
        what, where = (
            "contains classes, but only a single target can be a class",
            f"{source.where}, {titled(name, role)}",
        )
        raise UserError(
            Fault(what, where, remedy=f"choose one target, as in data.target={shlex.quote(name)}")
        )
    known = known_kind(name, role, declared, dtype)
    kind, date_format = known or (_kind_by_texts(cells, role, source, spec), "")
    if kind == "date" and not date_format:
        texts = parse_str(cells, spec.na_values).drop_nulls()
        date_format = date_format_of(texts.unique(maintain_order=True), source.where, name)
    certain = known is not None or role == "time"
    column = InferredColumn(name, role, kind, Column(name, kind), certain)
    column.of_classes = role == "target" and spec.asks_for_classes
    column.read_as(kind, date_format)
    if kind in ("numeric", "date") and role == "input" and not spec.raw:
        column.reset(0)
        [first, *_], _ = column.read(cells, spec.na_values, decimal_comma=source.decimal_comma)
        offset = float(first.filter(first.is_finite()).median() or 0)  # type: ignore[arg-type]
        offset = float(int(offset)) if kind == "date" else offset
        column.definition = replace(column.definition, offset=offset)
    return column


def _kind_by_texts(cells: pl.Series, role: Role, source: Source, spec: TableSpec) -> Kind:
    may_be_plain = cells.dtype == pl.String and not spec.na_values and cells.null_count() < len(cells)
    if may_be_plain and plain_floats(cells) is not None:  # usual, and in a wide table much faster
        return "numeric"
    texts = parse_str(cells, spec.na_values).drop_nulls()
    if source.decimal_comma:
        texts = texts.str.replace(",", ".", literal=True)
    kind = infer_kind(texts.unique(), len(texts), len(cells))
    if role == "target":
        return target_kind(kind, texts, of_classes=spec.asks_for_classes)
    if kind in ("numeric", "date"):
        return kind
    return "date" if role == "time" else "categorical"


def _has_classes(cells: pl.Series, source: Source, spec: TableSpec) -> bool:
    """Whether a target is a boolean column, or text that is not mostly numbers."""
    if cells.dtype == pl.Boolean or not is_text(cells.dtype):
        return cells.dtype == pl.Boolean
    return _kind_by_texts(cells, "input", source, spec) != "numeric" and cells.null_count() < len(cells)
