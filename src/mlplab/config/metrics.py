"""The metrics and baselines of numbers and of classes: names, and whether high or low values are good."""

from typing import Literal

REGRESSION = ("rmse", "mae", "r2")
"""Metrics of targets that are numbers."""

CLASSIFICATION = (
    *("log_loss", "accuracy", "balanced_accuracy", "f1_macro"),
    *("auroc", "average_precision", "calibration_error"),
)
"""Metrics of targets that are classes."""

DEFAULT_THRESHOLD = 0.5
"""The probability from which the second of two classes is predicted."""

ThresholdMetric = Literal["balanced_accuracy", "f1"]
"""What a threshold may maximise: F1 is that of the second class."""

MAIN = {REGRESSION: ("rmse", "mae", "r2"), CLASSIFICATION: ("log_loss", "accuracy", "auroc")}
"""The metrics in tables of many runs."""

BASELINES = {
    REGRESSION: {"boosting": "gradient boosting", "linear": "ridge regression", "constant": "mean"},
    CLASSIFICATION: {
        "boosting": "gradient boosting",
        "linear": "logistic regression",
        "constant": "class shares",
    },
}
"""Names of the baselines of numbers and of classes."""

HIGHEST_IS_BEST = {"r2", "accuracy", "balanced_accuracy", "f1_macro", "auroc", "average_precision"}


def metrics_of(classes: object) -> tuple[str, ...]:
    """The metrics of a table, given the classes of its target (empty: the targets are numbers)."""
    return CLASSIFICATION if classes else REGRESSION


def sign_of(metric: str) -> int:
    """−1 if the highest value of a metric such as `val/r2` is the best, else 1."""
    return -1 if set(metric.split("/")) & HIGHEST_IS_BEST else 1
