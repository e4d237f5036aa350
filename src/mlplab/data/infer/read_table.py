"""From a reading to a table: columns that are no inputs taken out, codes put in order."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Float

from mlplab.data.infer.columns import InferredColumn, faults_of, infer_columns
from mlplab.data.infer.one_pass import Allocate, Reading, read
from mlplab.data.infer.table_spec import LEFT_OUT, TableSpec, titled
from mlplab.data.io.source import Source
from mlplab.data.parse import TRUTH
from mlplab.data.schema import Schema
from mlplab.data.table import BLOCK, Table
from mlplab.errors import Fault, UserError, listed

SHOWN = 10
"""Columns of which there is a warning each."""

log = logging.getLogger(__name__)


def in_memory(name: str, shape: tuple[int, int], dtype: type[np.floating]) -> np.ndarray:
    """Room for a matrix that fits there."""
    return np.empty(shape, dtype)


def read_table(
    source: Source,
    spec: TableSpec,
    dtype: type[np.floating] = np.float32,
    allocate: Allocate = in_memory,
    progress: Callable[[int], None] = lambda rows: None,
) -> Table:
    """The rows of a source as a table; warns of columns that are left out, and of odd ones.

    Raises:
        UserError: with all that is wrong.
    """
    reading = read(source, spec, dtype, allocate, progress)
    found = infer_columns(reading, spec, source)
    table = build_table(reading, found, spec, source)
    left_out = table.schema.left_out.items()
    unasked = {name: why for name, why in left_out if spec.declared.get(name) not in LEFT_OUT}
    _warn(unasked, source, "leaving out ")
    _warn({each.name: each.note for each in found if each.note}, source)
    return table


def build_table(reading: Reading, found: Sequence[InferredColumn], spec: TableSpec, source: Source) -> Table:
    """The table that a reading becomes, in its memory.

    Args:
        found: as `findings` gives it.

    Raises:
        UserError: with all that is wrong.
    """
    if reading.rows == 0:
        raise UserError(Fault("has a header but no rows", source.where, remedy="give it rows of data"))
    if faults := faults_of(found):
        raise UserError(*faults)
    left_out = {each.name: each.left_out for each in found if each.left_out}
    inputs = [(place, each) for place, each in enumerate(found) if each.column]
    if not inputs:
        told = "; ".join(f"{titled(name)}: {why}" for name, why in left_out.items())
        remedy = "give it a column to predict from, or name kinds: data.columns.<name>=categorical"
        raise UserError(
            Fault(f"has no column that can be an input ({told or 'none'})", source.where, remedy=remedy)
        )
    keep = []
    for place, each in inputs:
        start = reading.columns[place].start
        if each.texts is not None:
            _recode(reading.features, start, _order(each))
        keep += [start + feature for feature in each.keep]
    schema = Schema(
        tuple(each.column for _, each in inputs if each.column),
        tuple(spec.named("target")),
        next(iter(spec.named("weight")), None),
        spec.na_values,
        left_out,
    )
    keys = list(_keys(reading, found))
    return Table.of(source.where, schema, compacted(reading.features, keep), reading.others, keys)


def _warn(columns: Mapping[str, str], source: Source, doing: str = "") -> None:
    for name, why in list(columns.items())[:SHOWN]:
        log.warning("%s: %s%s: %s", source.where, doing, titled(name), why)
    if more := list(columns)[SHOWN:]:
        log.warning("%s: %s%s more such columns: %s", source.where, doing, len(more), listed(more))


def _order(found: InferredColumn) -> np.ndarray:
    """By a text's code while reading, its code for good."""
    assert found.texts is not None
    assert found.column is None or found.column.kind in ("boolean", "categorical")
    if found.column and found.column.kind == "boolean":
        return np.array([TRUTH[text.lower()] for text in found.texts])
    return found.texts.rank("ordinal").to_numpy().astype(np.float64) - 1


def _recode(matrix: Float[np.ndarray, "row column"], column: int, order: np.ndarray) -> None:
    """Puts values for codes, in place; what is missing stays so."""
    table = np.append(order, np.nan).astype(matrix.dtype)
    for start in range(0, len(matrix), BLOCK):
        codes = matrix[start : start + BLOCK, column]
        codes[:] = table[np.where(np.isnan(codes), len(order), codes).astype(np.int64)]


def compacted(matrix: Float[np.ndarray, "row column"], keep: Sequence[int]) -> Float[np.ndarray, "row kept"]:
    """A matrix of some of the columns, made in the memory of the whole one."""
    rows, width = len(matrix), len(keep)
    if list(keep) == list(range(matrix.shape[1])):
        return matrix
    kept = matrix.reshape(-1)[: rows * width].reshape(rows, width)
    for start in range(0, rows, BLOCK):
        kept[start : start + BLOCK] = matrix[start : start + BLOCK][:, keep]
    return kept


def _keys(reading: Reading, found: Sequence[InferredColumn]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """What a split goes by: its role, and names if it is made of classes or groups, which get their codes."""
    for place, reader in enumerate(reading.readers):
        if reader.role in ("group", "time", "class"):
            texts = found[place].texts
            if texts is not None:
                _recode(reading.others, reading.columns[place].start, _order(found[place]))
            yield reader.role, () if texts is None else tuple(texts.sort())
