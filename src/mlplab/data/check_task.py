"""Checks that the keys of a run fit the task of its table: regression or classification."""

from collections.abc import Iterator, Mapping, Sequence

from mlplab import config
from mlplab.config.metrics import DEFAULT_THRESHOLD, metrics_of
from mlplab.data.class_labels import find_label, weights_by_class
from mlplab.data.table import Table
from mlplab.errors import Fault, UserError, did_you_mean, listed, nearest, refusal, shortened


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
    if run.loss.name not in ("auto", "cross_entropy"):
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
