"""Which keys do not fit the task of a table."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from mlplab import config
from mlplab.config.metrics import metrics_of
from mlplab.data.class_labels import find_label
from mlplab.data.splits.split import Rows
from mlplab.data.table import Table
from mlplab.errors import Fault, UserError, did_you_mean, listed, nearest, shortened

LOSSES = ("auto", "cross_entropy")
"""The losses of classes; all but the last are losses of numbers."""


def check_task(run: config.TrainConfig, table: Table) -> None:
    """Checks that a run's configuration fits the targets of its table.

    Raises:
        UserError: with all keys that do not.
    """
    faults = list(_class_faults(run, table) if table.schema.classes else _number_faults(run, table))
    metric = run.monitor.removeprefix("val/")
    known = metrics_of(table.schema.classes)
    if metric not in ("auto", "loss", *known):
        expected = listed(f"val/{name}" for name in ("loss", *known))
        what = f"is not a metric of {'classes' if table.schema.classes else 'numbers'}"
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
        what = f"is not defined: the val set has no row of {listed(map(shortened, absent['val']), 5)}"
        raise UserError(Fault(what, "monitor=val/auroc", remedy="use monitor=val/log_loss"))
    if isinstance(run.data.class_weights, dict) and classes:
        weights = weights_by_class(run.data.class_weights, classes)
        if not any(weights[label] for label in classes if label not in absent["train"]):
            what, remedy = "all training rows have weight 0", "give a class of theirs a weight above 0"
            raise UserError(Fault(what, "data.class_weights", remedy=remedy))


def absent_classes(table: Table, rows: Rows) -> list[str]:
    """The classes of which there is none among these rows."""
    classes = table.schema.classes
    counts = np.bincount(table.y[rows, 0].astype(np.int64), minlength=len(classes)) if classes else ()
    return [label for label, count in zip(classes, counts, strict=True) if not count]


def weights_by_class(given: Mapping[str, float], classes: Sequence[str]) -> dict[str, float]:
    """The weight of each class; 1 if none is given."""
    found = {find_label(label, classes): weight for label, weight in given.items()}
    return {label: found.get(label, 1.0) for label in classes}


def _class_faults(run: config.TrainConfig, table: Table) -> Iterator[Fault]:
    classes, target = table.schema.classes, table.schema.targets[0]
    is_number = table.schema.class_kind == "number"
    if run.loss.name not in LOSSES:
        what = (
            f"is a loss of numbers, but column '{target}' has classes: {listed(map(shortened, classes), 5)}"
        )
        remedy = "use loss=cross_entropy" + (
            "; or, if they are numbers: task=regression" if is_number else ""
        )
        yield Fault(what, f"loss={run.loss.name}", remedy=remedy)
    if run.model.preprocessing.target == "log":
        what = f"has no meaning for classes such as those of column '{target}'"
        remedy = "remove it" + ("; or, if they are numbers: task=regression" if is_number else "")
        yield Fault(what, "model.preprocessing.target=log", remedy=remedy)
    weights = run.data.class_weights
    for label in weights if isinstance(weights, dict) else ():
        if find_label(label, classes) is None:
            what, expected = (
                f"is not a class of column '{target}'",
                f"one of {listed(map(shortened, classes), 5)}",
            )
            remedy = did_you_mean(nearest(label, classes), otherwise="remove it")
            yield Fault(what, f"data.class_weights.{label}", expected=expected, remedy=remedy)


def _number_faults(run: config.TrainConfig, table: Table) -> Iterator[Fault]:
    one = len(table.schema.targets) == 1
    for key, is_set in (
        ("loss=cross_entropy", run.loss.name == LOSSES[-1]),
        ("data.class_weights", run.data.class_weights != "none"),
        ("data.positive", getattr(run.data, "positive", None) is not None),
    ):
        if is_set:
            what = (
                f"is for classes, but {listed(map(shortened, table.schema.targets))} is predicted as a number"
            )
            remedy = "remove it" + ("; or, if its values are classes: task=multiclass" if one else "")
            yield Fault(what if one else "is for classes, but the targets are numbers", key, remedy=remedy)
    if run.model.preprocessing.target == "log" and (table.y[table.rows] <= 0).any():
        count = int((table.y[table.rows] <= 0).any(1).sum())
        what = f"{count:,} rows have a target of 0 or less, which has no logarithm"
        yield Fault(what, table.source, remedy="use model.preprocessing.target=standard")
