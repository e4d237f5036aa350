"""Reads a source into a table: infers its columns, drops those that are not inputs, sorts categories."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import polars as pl
from jaxtyping import Float

from mlplab.data.infer.infer_columns import infer_columns
from mlplab.data.infer.inferred_column import Classes, InferredColumn
from mlplab.data.infer.table_reader import TableReader
from mlplab.data.infer.table_spec import titled
from mlplab.data.schema import Schema
from mlplab.data.table import BLOCK, Table
from mlplab.errors import UserError, listed, refusal

MAX_WARNINGS = 10  # largest number of columns that get their own warning

log = logging.getLogger(__name__)


def read_table(reader: TableReader) -> Table:
    """Reads a source into a table. Warns about columns that are left out or suspicious.

    Raises:
        UserError: with all faults of the table.
    """
    columns = infer_columns(reader.read())
    table = build_table(reader, columns)
    left_out, where = table.schema.left_out.items(), table.source
    _warn({name: why for name, why in left_out if name not in reader.spec.left_out}, where, "leaving out ")
    _warn({column.name: column.note for column in columns if column.note}, where)
    return table


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
        if column.texts is not None and (column.is_input or column.role == "group"):
            _recode(reader.values(column), column, column.texts)
    numbers = [column for column in columns if column.role in ("target", "weight")]
    classes = next((column.classes for column in columns if column.classes), Classes("text", {}))
    schema = Schema(
        tuple(column.definition for column in inputs),
        tuple(spec.named("target")),
        classes=tuple(classes.counts),
        class_kind=classes.kind,
        weight=next(iter(spec.named("weight")), None),
        na_values=spec.na_values,
        number_formats={of.name: of.definition.format for of in numbers if of.definition.format},
        left_out=left_out,
    )
    keep = [column.location.start + feature for column in inputs for feature in column.keep]
    others = {f"{of.role}": reader.values(of) for of in columns if of.role in ("weight", "group", "time")}
    weight, y = others.pop("weight", None), reader.others[:, : len(schema.targets)]
    rows = np.flatnonzero(np.isfinite(y).all(1))
    return Table(where, schema, _compacted(reader.features, keep), y, weight, others, rows)


def _warn(columns: Mapping[str, str], where: str, action: str = "") -> None:
    for name, why in list(columns.items())[:MAX_WARNINGS]:
        log.warning("%s: %s%s: %s", where, action, titled(name), why)
    if more := list(columns)[MAX_WARNINGS:]:
        log.warning("%s: %s%s more such columns: %s", where, action, len(more), listed(more))


def _recode(codes: Float[np.ndarray, " row"], column: InferredColumn, texts: pl.Series) -> None:
    """Replaces the codes of texts while reading by those in order, or by 0 and 1, in place; NaN stays."""
    definition = column.definition
    if column.role == "group":
        definition = replace(definition, categories=tuple(texts.sort()))
    final = definition.parse(texts, (), decimal_comma=False).to_numpy()
    known = ~np.isnan(codes)
    codes[known] = final[codes[known].astype(np.int64)]


def _compacted(matrix: Float[np.ndarray, "row column"], keep: Sequence[int]) -> Float[np.ndarray, "row kept"]:
    """Some of a matrix's columns, as a matrix in the same memory."""
    rows, width = len(matrix), len(keep)
    if list(keep) == list(range(matrix.shape[1])):
        return matrix
    compacted = matrix.reshape(-1)[: rows * width].reshape(rows, width)
    for start in range(0, rows, BLOCK):
        compacted[start : start + BLOCK] = matrix[start : start + BLOCK][:, keep]
    return compacted
