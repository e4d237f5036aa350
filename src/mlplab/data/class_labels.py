"""Classes as labels, as values and as numbers; keys of a run that do not fit its task, classes or numbers."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import polars as pl
from jaxtyping import Float64

from mlplab import config
from mlplab.config.metrics import DEFAULT_THRESHOLD, metrics_of
from mlplab.data.cells.parse import Kind, parse_str
from mlplab.data.schema import ClassKind, Column, Schema
from mlplab.data.splits.split import Codes
from mlplab.data.table import Table
from mlplab.errors import Fault, UserError, did_you_mean, listed, nearest, refusal, shortened

BOOLEAN_LABELS = ("false", "true")


def find_label(wanted: str, labels: Sequence[str]) -> str | None:
    """The label that is meant: the same, or the only one that differs by case (as `True` and `true`)."""
    same = [label for label in labels if label.lower() == wanted.lower()]
    return wanted if wanted in labels else same[0] if len(same) == 1 else None


def label_values(labels: Sequence[str], kind: ClassKind) -> pl.Series:
    """Labels as the values that a table holds: text, whole numbers, floats or booleans."""
    texts = pl.Series(labels, dtype=pl.String)
    if kind == "number":
        is_whole = all(label.lstrip("-").isdigit() and len(label) < 19 for label in labels)  # 64 bits
        return texts.cast(pl.Int64 if is_whole else pl.Float64)
    return texts if kind == "text" else texts == BOOLEAN_LABELS[1]


def parse_target(schema: Schema, name: str, cells: pl.Series, *, decimal_comma: bool = False) -> pl.Series:
    """Cells of a target or a weight as Float64, read as in training: numbers, or the numbers of classes.

    A class is null if it is missing or not one of the schema's.
    """
    labels = schema.classes if name in schema.targets else ()
    known = label_values(labels, schema.class_kind)
    if labels and schema.class_kind == "text":
        values = parse_str(cells, schema.na_values_of(name))
        if sorted(label.lower() for label in labels) == [*BOOLEAN_LABELS]:  # other tables write True
            values, known = values.str.to_lowercase(), known.str.to_lowercase()
    else:
        kind: Kind = "boolean" if labels and schema.class_kind == "boolean" else "numeric"
        column = Column(name, kind, format=schema.number_formats.get(name, ""))
        values = column.parse(cells, schema.na_values_of(name), decimal_comma=decimal_comma)
    if not labels:
        return values
    numbers = pl.Series(range(len(labels)), dtype=pl.Float64)
    return values.replace_strict(known.cast(values.dtype), numbers, default=None, return_dtype=pl.Float64)


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


def check_task(run: config.TrainConfig, table: Table) -> None:
    """Checks that a run's configuration fits the targets of its table.

    Raises:
        UserError: with all keys that do not.
    """
    is_class = bool(table.schema.classes)
    faults = [*(_classification_faults if is_class else _regression_faults)(run, table)]
    known = ("loss", *metrics_of(table.schema.classes))
    if run.monitor.removeprefix("val/") not in ("auto", *known):
        what = f"is not a metric of {'classes' if is_class else 'numbers'}"
        expected = listed(f"val/{name}" for name in known)
        faults.append(Fault(what, f"monitor={run.monitor}", expected=expected, remedy="use monitor=auto"))
    if run.threshold != DEFAULT_THRESHOLD and len(classes := table.schema.classes) != 2:
        faults.append(threshold_fault(f"threshold={run.threshold}", classes))
    if faults:
        raise UserError(*faults)


def threshold_fault(where: str, classes: Sequence[str]) -> Fault:
    """A threshold for a target that is a number, or one of more than two classes."""
    found = f"{len(classes)} classes" if classes else "a number as target"
    return Fault("has a meaning only for two classes", where, found, remedy="remove it")


def check_split(run: config.TrainConfig, classes: Sequence[str], absent: Mapping[str, Sequence[str]]) -> None:
    """Checks the monitored metric and the class weights; sets of the split have no row of `absent` classes.

    Raises:
        UserError: otherwise.
    """
    if run.monitor in ("val/auroc", "val/average_precision") and absent["val"]:
        what = f"is not defined: the val set has no row of {_labels(absent['val'])}"
        raise refusal(what, f"monitor={run.monitor}", "use monitor=val/log_loss")
    if isinstance(run.data.class_weights, dict) and classes:
        weights = weights_by_class(run.data.class_weights, classes)
        if not any(weights[label] for label in classes if label not in absent["train"]):
            raise refusal("all training rows have weight 0", "data.class_weights", "raise one of them")


def _labels(labels: Sequence[str]) -> str:
    return listed(map(shortened, labels), 5)


def _classification_faults(run: config.TrainConfig, table: Table) -> Iterator[Fault]:
    classes, target = table.schema.classes, table.schema.targets[0]
    or_regression = "; or, if they are numbers: task=regression" * (table.schema.class_kind == "number")
    if run.loss.name not in ("auto", "cross_entropy", "custom"):
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
    keys_of_classes = {
        "loss=cross_entropy": run.loss.name == "cross_entropy",
        "data.class_weights": run.data.class_weights != "none",
        "data.positive": getattr(run.data, "positive", None) is not None,
    }
    what = f"is for classes, but {_labels(table.schema.targets)} is predicted as a number"
    remedy = "remove it; or, if the values of a single target are classes: task=multiclass"
    yield from (Fault(what, key, remedy=remedy) for key, is_set in keys_of_classes.items() if is_set)
    if run.quantiles and (count := len(table.schema.targets)) > 1:
        remedy = "give one target: data.target=[…]"
        yield Fault("is a loss of one target", "loss=quantile", f"{count} targets", remedy=remedy)
    if run.model.preprocessing.target == "log" and (count := (table.y[table.rows] <= 0).any(1).sum()):
        what = f"{count:,} rows have a target of 0 or less, which has no logarithm"
        yield Fault(what, table.source, remedy="use model.preprocessing.target=standard")
