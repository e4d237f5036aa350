"""Classes as labels, as values and as numbers."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from jaxtyping import Float64

from mlplab.data.cells.number_formats import parse_number
from mlplab.data.cells.parse import parse_bool, parse_str
from mlplab.data.schema import ClassKind, Schema
from mlplab.data.splits.split import Codes

BOOLEAN_LABELS = ("false", "true")

INT64_DIGITS = 19  # digits of the largest integer of 64 bits


def find_label(wanted: str, labels: Sequence[str]) -> str | None:
    """The label that is meant: the same, or the only one that differs by case (as `True` and `true`)."""
    alike = [label for label in labels if label.lower() == wanted.lower()]
    return wanted if wanted in labels else alike[0] if len(alike) == 1 else None


def label_values(labels: Sequence[str], kind: ClassKind) -> pl.Series:
    """Labels as the values that a table holds: text, whole numbers, floats or booleans."""
    texts = pl.Series(labels, dtype=pl.String)
    if kind == "number":
        is_whole = all(label.lstrip("-").isdigit() and len(label) < INT64_DIGITS for label in labels)
        return texts.cast(pl.Int64 if is_whole else pl.Float64)
    return texts if kind == "text" else texts == BOOLEAN_LABELS[1]


def parse_target(schema: Schema, name: str, cells: pl.Series, *, decimal_comma: bool = False) -> pl.Series:
    """Cells of a target or a weight as Float64, read as in training: numbers, or the numbers of classes.

    A class is null if it is missing or not one of the schema's.
    """
    labels = schema.classes if name in schema.targets else ()
    known = label_values(labels, schema.class_kind)
    if labels and schema.class_kind == "text":
        values = parse_str(cells, schema.na_values)
        if sorted(label.lower() for label in labels) == [*BOOLEAN_LABELS]:  # other tables write True
            values, known = values.str.to_lowercase(), known.str.to_lowercase()
    elif labels and schema.class_kind == "boolean":
        values = parse_bool(cells, schema.na_values)
    else:
        number_format = schema.number_formats.get(name, "")
        values = parse_number(cells, schema.na_values, number_format, decimal_comma=decimal_comma)
    numbers = pl.Series(range(len(labels)), dtype=pl.Float64)
    known = known.cast(values.dtype)
    return values.replace_strict(known, numbers, default=None, return_dtype=pl.Float64) if labels else values


def predicted_classes(probabilities: Float64[np.ndarray, "row class"], threshold: float) -> Codes:
    """The number of each row's predicted class.

    Of two classes the second, if its probability is at least `threshold`. Of more classes the most likely,
    and the first of equally likely ones.
    """
    if probabilities.shape[1] == 2:
        return (probabilities[:, 1] >= threshold).astype(np.int64)
    return probabilities.argmax(1)


def confusion_matrix(
    actual: Codes, predicted: Codes, weight: Float64[np.ndarray, " row"] | None, classes: int
) -> Float64[np.ndarray, "actual predicted"]:
    """The number (or weight) of rows by actual and predicted class."""
    counts = np.bincount(actual * classes + predicted, weight, classes**2)
    return counts.astype(np.float64).reshape(classes, classes)


def weights_by_class(given: Mapping[str, float], classes: Sequence[str]) -> dict[str, float]:
    """The weight of each class; 1 if none is given."""
    weights = {find_label(label, classes): weight for label, weight in given.items()}
    return {label: weights.get(label, 1.0) for label in classes}
