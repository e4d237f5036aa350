"""The metrics and baselines of numbers and of classes: names, and whether high or low values are good."""

from collections.abc import Container, Mapping, Sequence
from typing import Any, Literal

REGRESSION = ("rmse", "mae", "r2")  # metrics of targets that are numbers

# Metrics of quantiles of such a target; all but the first are the median's.
QUANTILES = ("pinball", *REGRESSION)

# Metrics of targets that are classes.
CLASSIFICATION = (
    *("log_loss", "accuracy", "balanced_accuracy", "f1_macro"),
    *("auroc", "average_precision", "calibration_error"),
)

DEFAULT_THRESHOLD = 0.5  # the probability from which the second of two classes is predicted

# What a threshold may maximise: F1 is that of the second class.
ThresholdMetric = Literal["balanced_accuracy", "f1"]

# The metrics in tables of many runs.
MAIN = {REGRESSION: REGRESSION, QUANTILES: QUANTILES, CLASSIFICATION: ("log_loss", "accuracy", "auroc")}

# Names of the baselines of numbers and of classes.
BASELINES: dict[tuple[str, ...], dict[str, str]] = {
    metrics: {"boosting": boosting, "linear": linear, "constant": constant}
    for metrics, boosting, linear, constant in (
        (REGRESSION, "gradient boosting", "ridge regression", "mean"),
        (QUANTILES, "boosting by quantiles", "ridge regression", "empirical quantiles"),
        (CLASSIFICATION, "gradient boosting", "logistic regression", "class shares"),
    )
}


def metrics_of(classes: object, quantiles: object = ()) -> tuple[str, ...]:
    """The metrics of a run, given the classes of its target, and the quantiles that it predicts, if any."""
    return CLASSIFICATION if classes else QUANTILES if quantiles else REGRESSION


def metrics_among(scores: Container[str], prefix: str = "") -> tuple[str, ...]:
    """The metrics of classes, quantiles or numbers, whichever these scores have; empty if none."""
    tasks = (CLASSIFICATION, QUANTILES, REGRESSION)
    return next((names for names in tasks if f"{prefix}{names[0]}" in scores), ())


def sign_of(metric: str) -> int:
    """−1 if the highest value of a metric such as `val/r2` is the best, else 1."""
    highest_is_best = {"r2", "accuracy", "balanced_accuracy", "f1_macro", "auroc", "average_precision"}
    return -1 if highest_is_best.intersection(metric.split("/")) else 1


def network_name(members: int) -> str:
    """The name of a run with that many networks beside its baselines."""
    return "this network" if members == 1 else f"ensemble of {members}"


def main_scores(
    metrics: Mapping[str, Any], part: str = "test", names: Sequence[str] = ()
) -> dict[str, dict[str, float | None]]:
    """The scores in a metrics.json, by titles: of the network (or ensemble and members) and of baselines.

    Args:
        part: `test`, or `val`, on which only the network (or ensemble) is scored.
        names: of scores; by default those of the task.
    """
    task, members = metrics_among(metrics, f"{part}/"), metrics.get("members", 1)
    names = names or task
    prefixes = {network_name(members): ""}
    if members > 1:
        prefixes["its networks (mean)"] = "members/"
    prefixes |= {title: f"{name}/" for name, title in BASELINES[task].items()}
    return {
        name: {metric: metrics.get(f"{prefix}{part}/{metric}") for metric in names}
        for name, prefix in prefixes.items()
        if f"{prefix}{part}/{names[0]}" in metrics
    }
