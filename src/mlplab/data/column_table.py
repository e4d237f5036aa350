"""The columns of a table in words, a row for each. Imports no torch."""

from collections.abc import Iterator
from typing import NamedTuple

from mlplab.data.schema import Column, Schema
from mlplab.errors import listed

MOST_LABELS = 8
"""Classes or categories that are listed at most."""


class ColumnRow(NamedTuple):
    """A column: its name, its role, its kind, and what its cells are or why it is left out."""

    column: str
    role: str
    kind: str
    note: str


def column_rows(schema: Schema) -> Iterator[ColumnRow]:
    """The targets, the weights, the inputs, and what is left out."""
    kind = "classes" if schema.classes else "numeric"
    for target in schema.targets:
        yield ColumnRow(target, "target", kind, _labels("classes", schema.classes))
    if schema.weight:
        yield ColumnRow(schema.weight, "weight", "numeric", "")
    for column in schema.inputs:
        yield ColumnRow(column.name, "input", column.kind, _note(column))
    for name, reason in schema.left_out.items():
        yield ColumnRow(name, "left out", "", reason)


def _note(column: Column) -> str:
    """Categories, the format and the parts of dates, and whether values are missing."""
    notes = (
        _labels("categories", column.categories),
        column.format and f"format {column.format}",
        column.parts and f"read as {', '.join(column.parts)}",
        column.missing and "has missing values",
    )
    return "; ".join(note for note in notes if note)


def _labels(what: str, labels: tuple[str, ...]) -> str:
    return f"{len(labels):,} {what}: {listed(labels, MOST_LABELS)}" if labels else ""
