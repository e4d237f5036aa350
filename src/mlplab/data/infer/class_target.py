"""Decides whether a target is numbers or classes, and which classes there are."""

import numpy as np
import polars as pl
from jaxtyping import Float64

from mlplab.config.data import number_label
from mlplab.data.class_labels import BOOLEAN_LABELS, ClassKind, find_label
from mlplab.data.dates import date_formats
from mlplab.data.infer.inferred_column import Classes, InferredColumn
from mlplab.data.infer.table_reader import TableReader
from mlplab.data.infer.table_spec import typed
from mlplab.errors import Fault, did_you_mean, listed, nearest, shortened

LARGEST_INTEGER = 2.0**53
"""The largest integer up to which floats represent all."""

LEAST_REPEATED = 5
"""Mean number of rows per distinct whole number from which they may be classes."""

MANY = 20
"""Largest number of classes that any table may have."""

MANY_SHARE = 0.1
"""Largest number of classes, relative to the rows, if there are more than `MANY`."""

FEW_WHOLE = 20
"""Largest number of distinct whole numbers that may be classes."""


def find_classes(column: InferredColumn, reader: TableReader) -> Classes | None:
    """The classes of a target with values; None if it is numbers."""
    spec = reader.spec
    is_number = spec.asks_for_numbers or spec.declared.get(column.name) == "numeric"
    if column.role != "target" or (is_number and not spec.asks_for_classes):
        return None
    values = reader.values(column)
    if column.texts is not None:
        kind: ClassKind = "text"
        labels = column.texts.to_list()
        counts = np.bincount(values[~np.isnan(values)].astype(np.int64), minlength=len(labels))
    elif column.kind == "boolean" or spec.asks_for_classes or _has_two_values(column, values):
        distinct, counts = np.unique(values[~np.isnan(values)], return_counts=True)
        kind = "boolean" if column.kind == "boolean" else "number"
        labels = [_label(value, kind) for value in distinct.tolist()]
    else:
        return None
    order = np.argsort(labels) if kind == "text" else np.arange(len(labels))
    if len(labels) == 2 and find_label(spec.positive or "", labels) == labels[order[0]]:
        order = order[::-1]
    codes = np.empty(len(labels))
    codes[order] = np.arange(len(labels))
    return Classes(kind, {labels[place]: int(counts[place]) for place in order}, codes)


def class_faults(classes: Classes, column: InferredColumn, reader: TableReader) -> list[Fault]:
    """Why these classes cannot be predicted."""
    where, spec, count = reader.where(column), reader.spec, len(classes.counts)
    if count == 1:
        what = f"all values are {shortened(next(iter(classes.counts)))}"
        remedy = "there is nothing to predict: choose a different data.target"
        return [Fault(what, where, remedy=remedy if reader.rows > 1 else "give the table more rows")]
    if classes.kind == "text" and spec.task == "auto" and date_formats(pl.Series(list(classes.counts))):
        what, remedy = (
            "contains dates, which are neither numbers nor classes",
            "choose a different data.target",
        )
        return [
            Fault(what, where, shortened(next(iter(classes.counts))), remedy=f"{remedy}, or task=multiclass")
        ]
    if classes.kind == "number" and max(abs(column.low[0]), abs(column.high[0])) > LARGEST_INTEGER:
        what = "has integers of more than 53 bits, which may be rounded"
        remedy = f"keep all their digits: {typed(column.name, 'categorical')}"
        return [Fault(what, where, f"{column.high[0]:.0f}", remedy=remedy)]
    if count > max(MANY, MANY_SHARE * column.filled):
        what = f"has {count:,} different values in {column.filled:,} rows, too many to be classes"
        found = f"such as {listed(map(shortened, list(classes.counts)[:3]))}"
        remedy = (
            "if it is a number: task=regression"
            if classes.kind == "number"
            else "it looks like an identifier: choose a different data.target"
        )
        return [Fault(what, where, found, remedy=remedy)]
    if spec.task == "binary" and count > 2:
        found = f"{count} classes: {listed(map(shortened, classes.counts), 5)}"
        return [
            Fault("task=binary needs a target with two classes", where, found, remedy="use task=multiclass")
        ]
    if spec.positive is None:
        return []
    if find_label(spec.positive, list(classes.counts)) is None:
        expected = f"one of {listed(map(shortened, classes.counts), 5)}"
        remedy = did_you_mean(nearest(spec.positive, classes.counts), "data.positive=")
        what = f"is not a class of column '{column.name}'"
        return [Fault(what, f"data.positive={spec.positive}", expected=expected, remedy=remedy)]
    if count > 2:
        what = f"has a meaning only for two classes, and there are {count}"
        return [Fault(what, f"data.positive={spec.positive}", remedy="remove it")]
    return []


def number_note(column: InferredColumn, reader: TableReader) -> str:
    """An offer to predict classes, for a target with a few whole numbers."""
    values = reader.values(column)
    if reader.spec.task != "auto" or reader.spec.asks_for_numbers or column.name in reader.spec.declared:
        return ""
    if not (np.isnan(values) | (values == np.floor(values))).all():
        return ""
    distinct = pl.Series(values).unique().drop_nans()
    if len(distinct) > min(FEW_WHOLE, column.filled / LEAST_REPEATED):
        return ""
    return (
        f"its {len(distinct)} whole values are predicted as numbers; if they are classes: task=multiclass "
        "(task=regression removes this line)"
    )


def _has_two_values(column: InferredColumn, values: Float64[np.ndarray, " row"]) -> bool:
    low, high = column.low[0], column.high[0]
    return low < high and bool(((values == low) | (values == high) | np.isnan(values)).all())


def _label(value: float, kind: ClassKind) -> str:
    return BOOLEAN_LABELS[int(value)] if kind == "boolean" else number_label(value)
