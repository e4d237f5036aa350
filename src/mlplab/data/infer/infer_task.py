"""Decides whether a target is numbers or classes, and which classes there are.

Whole numbers are predicted as numbers, but may also be codes that stand for names, or identifiers of rows.
"""

import re
from pathlib import Path

import numpy as np

from mlplab.config.data import number_label
from mlplab.data.class_labels import BOOLEAN_LABELS, find_label
from mlplab.data.infer.inferred_column import Classes, InferredColumn
from mlplab.data.infer.suspicious_numbers import GENERATED, WORD, counts_rows, names_row_number
from mlplab.data.infer.table_reader import TableReader
from mlplab.data.infer.table_spec import typed
from mlplab.data.schema import ClassKind
from mlplab.errors import Fault, did_you_mean, listed, nearest, shortened

LARGEST_INTEGER = 2.0**53
"""The largest integer up to which floats represent all."""

MAX_CLASSES = 20
"""Largest number of classes that any table may have."""

MAX_CLASSES_SHARE = 0.1
"""Largest number of classes, relative to the rows, if there are more than `MAX_CLASSES`."""

MAX_CODES = 30  # largest number of distinct whole numbers that may stand for names
MIN_ROWS_PER_CODE = 2  # mean number of rows per distinct number from which they may stand for names

NAMES = Path(__file__).with_name("names.txt").read_text(encoding="utf-8").split()
"""Words for what whole numbers may stand for."""

NAMED = rf"{'|'.join(NAMES)}|.*(category|class|classification|cluster|code|group|region|species|status|type)"
"""Last words of names for what numbers stand for: `region`, `statecode`. What is counted has a plural
(`sites`), and what is measured another last word (`group_size`)."""

NUMBERING = re.compile("no|nr|num|number|#|[0-9]+")
"""What may follow such a word without changing what it says: `plot_no`."""


def find_classes(column: InferredColumn, reader: TableReader) -> Classes | None:
    """The classes of a target, whose values become their numbers; None if they are numbers."""
    spec, values = reader.spec, reader.values(column)
    is_number = spec.asks_for_numbers or spec.declared.get(column.name) == "numeric"
    if column.role != "target" or (is_number and not spec.asks_for_classes):
        return None
    present = ~np.isnan(values)
    known, low, high = values[present], column.low[0], column.high[0]
    has_two_values = low < high and ((known == low) | (known == high)).all()
    if column.texts is not None:
        kind: ClassKind = "text"
        labels, codes = column.texts.to_list(), known.astype(np.int64)
    elif column.kind == "boolean" or spec.asks_for_classes or has_two_values:
        kind = "boolean" if column.kind == "boolean" else "number"
        distinct, codes = np.unique(known, return_inverse=True)
        labels = [
            BOOLEAN_LABELS[int(value)] if kind == "boolean" else number_label(value)
            for value in distinct.tolist()
        ]
    else:
        return None
    order = np.argsort(labels) if kind == "text" else np.arange(len(labels))
    if len(labels) == 2 and find_label(spec.positive or "", labels) == labels[order[0]]:
        order = order[::-1]
    counts = np.bincount(codes, minlength=len(labels))
    values[present] = np.argsort(order)[codes]
    return Classes(kind, {labels[place]: int(counts[place]) for place in order})


def class_fault(classes: Classes, column: InferredColumn, reader: TableReader) -> Fault | None:
    """Why these classes cannot be predicted."""
    where, spec, labels = reader.where(column), reader.spec, list(classes.counts)
    count, examples = len(labels), listed(map(shortened, labels[:3]))
    found = f"{count:,} classes: {listed(map(shortened, labels), 5)}"
    if count == 1:
        return constant_fault(shortened(labels[0]), where)
    if classes.kind == "number" and max(abs(column.low[0]), abs(column.high[0])) > LARGEST_INTEGER:
        remedy = f"keep all their digits: {typed(column.name, 'categorical')}"
        return Fault("has integers of more than 53 bits", where, examples, remedy=remedy)
    if count > max(MAX_CLASSES, MAX_CLASSES_SHARE * column.filled):
        what = f"has {count:,} different values in {column.filled:,} rows, too many to be classes"
        remedy = "if it is a number: task=regression" if classes.kind == "number" else "choose another target"
        return Fault(what, where, examples, remedy=remedy)
    if spec.task == "binary" and count > 2:
        return Fault("task=binary needs two classes", where, found, remedy="use task=multiclass")
    if spec.positive is not None and (count > 2 or find_label(spec.positive, labels) is None):
        what, key = f"must be one of two classes of column '{column.name}'", "data.positive="
        near = nearest(spec.positive, labels) if count == 2 else []
        return Fault(what, key + spec.positive, found, remedy=did_you_mean(near, key, "remove it"))
    return None


def constant_fault(value: str, where: str) -> Fault:
    """A target with a single value."""
    return Fault(f"all values are {value}", where, remedy="choose a different data.target, or give more rows")


def whole_target_note(column: InferredColumn, reader: TableReader) -> str:
    """A warning about a target that identifies rows, or an offer to predict its numbers as classes.

    Of 900 columns of up to 30 whole numbers in R's tables, 66 stand for names. Their own names say so of 39,
    and of 3 others.
    """
    spec, values = reader.spec, reader.values(column)
    if spec.task != "auto" or spec.asks_for_numbers or column.name in spec.declared:
        return ""
    values = values[~np.isnan(values)]
    if (values != np.floor(values)).any():
        return ""
    distinct = np.unique(values)
    silenced = "(task=regression removes this line)"
    is_identifier = names_row_number(column.name) and not GENERATED.fullmatch(column.name)
    if (is_identifier and len(distinct) == len(values)) or counts_rows(values, column.low[0], column.high[0]):
        what = "a different whole number in each row, like a row number or an identifier"
        return f"{what}; if it is one, choose a different data.target {silenced}"
    most = min(MAX_CODES, len(values) / MIN_ROWS_PER_CODE, max(MAX_CLASSES, MAX_CLASSES_SHARE * len(values)))
    if len(distinct) > most or not stands_for_names(column.name):
        return ""
    what = f"its {len(distinct)} whole values are predicted as numbers"
    return f"{what}; if they are classes: task=multiclass {silenced}"


def stands_for_names(name: str) -> bool:
    """Whether a column's name says that its whole numbers may stand for names."""
    words = [word.lower() for word in WORD.findall(name)]
    while words and NUMBERING.fullmatch(words[-1]):
        words.pop()
    return bool(words) and re.fullmatch(NAMED, words[-1]) is not None
