"""The task of a table: its classes as labels, values and numbers, and which keys do not fit the task."""

from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np
import polars as pl

from mlplab import config
from mlplab.config.metrics import metrics_of
from mlplab.data.parse import parse_bool, parse_float, parse_str
from mlplab.data.schema import ClassKind
from mlplab.data.splits.split import Rows
from mlplab.data.table import Table
from mlplab.did_you_mean import did_you_mean, nearest
from mlplab.errors import Fault, UserError, listed, shortened

LOSSES = ("auto", "cross_entropy")
"""The losses for classes; all but `cross_entropy` are for regression."""

BOOLEAN_LABELS = ("false", "true")

INT64_DIGITS = 19
"""Digits of the largest integer of 64 bits."""


def find_label(wanted: str, labels: Sequence[str]) -> str | None:
    """The label that is meant: the same, or the only one that differs by case (as `True` and `true`)."""
    alike = [label for label in labels if label.lower() == wanted.lower()]
    return wanted if wanted in labels else alike[0] if len(alike) == 1 else None


def label_values(labels: Sequence[str], kind: ClassKind) -> pl.Series:
    """Labels as the values that a table holds: text, whole numbers, floats or booleans."""
    match kind:
        case "text":
            return pl.Series(labels, dtype=pl.String)
        case "number":
            is_whole = all(label.lstrip("-").isdigit() and len(label) < INT64_DIGITS for label in labels)
            return pl.Series(labels, dtype=pl.String).cast(pl.Int64 if is_whole else pl.Float64)
        case "boolean":
            return pl.Series([label == BOOLEAN_LABELS[1] for label in labels], dtype=pl.Boolean)


def class_numbers(
    cells: pl.Series,
    labels: Sequence[str],
    kind: ClassKind,
    na_values: Collection[str],
    *,
    decimal_comma: bool = False,
) -> pl.Series:
    """The number of each cell's class as Float64; null if it is missing or not one of these classes."""
    known = label_values(labels, kind)
    match kind:
        case "text":
            values = parse_str(cells, na_values)
            if sorted(label.lower() for label in labels) == [*BOOLEAN_LABELS]:  # other tables write True
                values, known = values.str.to_lowercase(), known.str.to_lowercase()
        case "number":
            values, known = parse_float(cells, na_values, decimal_comma=decimal_comma), known.cast(pl.Float64)
        case "boolean":
            values, known = parse_bool(cells, na_values), known.cast(pl.Float64)
    numbers = pl.Series(range(len(labels)), dtype=pl.Float64)
    return values.replace_strict(known, numbers, default=None, return_dtype=pl.Float64)


def weights_by_class(given: Mapping[str, float], classes: Sequence[str]) -> dict[str, float]:
    """The weight of each class; 1 if none is given."""
    weights = {find_label(label, classes): weight for label, weight in given.items()}
    return {label: weights.get(label, 1.0) for label in classes}


def absent_classes(table: Table, rows: Rows) -> list[str]:
    """The classes of which there is none among these rows."""
    classes = table.schema.classes
    counts = np.bincount(table.y[rows, 0].astype(np.int64), minlength=len(classes)) if classes else ()
    return [label for label, count in zip(classes, counts, strict=True) if not count]


def check_task(run: config.TrainConfig, table: Table) -> None:
    """Checks that a run's configuration fits the targets of its table.

    Raises:
        UserError: with all keys that do not.
    """
    is_class = bool(table.schema.classes)
    faults = list(_classification_faults(run, table) if is_class else _regression_faults(run, table))
    known = ("loss", *metrics_of(table.schema.classes))
    if run.monitor.removeprefix("val/") not in ("auto", *known):
        what = f"is not a metric of {'classes' if is_class else 'numbers'}"
        expected = listed(f"val/{name}" for name in known)
        faults.append(Fault(what, f"monitor={run.monitor}", expected=expected, remedy="use monitor=auto"))
    if faults:
        raise UserError(*faults)


def check_split(run: config.TrainConfig, classes: Sequence[str], absent: Mapping[str, Sequence[str]]) -> None:
    """Checks that the classes in the sets of a split allow for the monitored metric and the class weights.

    Args:
        absent: the classes of which a set has no row, by set.

    Raises:
        UserError: otherwise.
    """
    if run.monitor == "val/auroc" and absent["val"]:
        what = f"is not defined: the val set has no row of {_labels(absent['val'])}"
        raise UserError(Fault(what, "monitor=val/auroc", remedy="use monitor=val/log_loss"))
    if isinstance(run.data.class_weights, dict) and classes:
        weights = weights_by_class(run.data.class_weights, classes)
        if not any(weights[label] for label in classes if label not in absent["train"]):
            what, remedy = "all training rows have weight 0", "give a class of theirs a weight above 0"
            raise UserError(Fault(what, "data.class_weights", remedy=remedy))


def _labels(labels: Sequence[str]) -> str:
    return listed(map(shortened, labels), 5)


def _classification_faults(run: config.TrainConfig, table: Table) -> Iterator[Fault]:
    classes, target = table.schema.classes, table.schema.targets[0]
    or_regression = "; or, if they are numbers: task=regression" * (table.schema.class_kind == "number")
    if run.loss.name not in LOSSES:
        what = f"is a loss of numbers, but column '{target}' has classes: {_labels(classes)}"
        yield Fault(what, f"loss={run.loss.name}", remedy=f"use loss=cross_entropy{or_regression}")
    if run.model.preprocessing.target == "log":
        what = f"has no meaning for classes such as those of column '{target}'"
        yield Fault(what, "model.preprocessing.target=log", remedy=f"remove it{or_regression}")
    weights = run.data.class_weights
    for label in weights if isinstance(weights, dict) else ():
        if find_label(label, classes) is None:
            where, what = f"data.class_weights.{label}", f"is not a class of column '{target}'"
            remedy = did_you_mean(nearest(label, classes), otherwise="remove it")
            yield Fault(what, where, expected=f"one of {_labels(classes)}", remedy=remedy)


def _regression_faults(run: config.TrainConfig, table: Table) -> Iterator[Fault]:
    what, remedy = "is for classes, but the targets are numbers", "remove it"
    if len(table.schema.targets) == 1:
        what = f"is for classes, but {_labels(table.schema.targets)} is predicted as a number"
        remedy = "remove it; or, if its values are classes: task=multiclass"
    if run.loss.name == "cross_entropy":
        yield Fault(what, "loss=cross_entropy", remedy=remedy)
    if run.data.class_weights != "none":
        yield Fault(what, "data.class_weights", remedy=remedy)
    if getattr(run.data, "positive", None) is not None:
        yield Fault(what, "data.positive", remedy=remedy)
    if run.model.preprocessing.target == "log" and (table.y[table.rows] <= 0).any():
        count = int((table.y[table.rows] <= 0).any(1).sum())
        what = f"{count:,} rows have a target of 0 or less, which has no logarithm"
        yield Fault(what, table.source, remedy="use model.preprocessing.target=standard")
