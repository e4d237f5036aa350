"""How a run compares with its baselines, in a sentence for terminals and pages."""

from collections.abc import Mapping
from typing import Any

from mlplab.config.metrics import BASELINES, CLASSIFICATION, REGRESSION

NAMES = {
    **{"rmse": "RMSE", "mae": "MAE", "r2": "R²", "log_loss": "log loss", "auroc": "AUROC"},
    **{
        "balanced_accuracy": "balanced accuracy",
        "f1_macro": "macro F1",
        "calibration_error": "calibration error",
    },
}
"""Names of metrics in text, where they differ from those in `metrics.json`."""


def verdict(metrics: Mapping[str, Any]) -> str:
    """Compares test scores by the first metric, of which low values are good; empty without baselines.

    Args:
        metrics: the content of a run's metrics.json or evaluation.json.
    """
    names = next((each for each in (CLASSIFICATION, REGRESSION) if f"test/{each[0]}" in metrics), REGRESSION)
    ours = metrics.get(f"test/{names[0]}")
    theirs = {each: metrics.get(f"{name}/test/{names[0]}") for name, each in BASELINES[names].items()}
    numbers = {each: value for each, value in theirs.items() if isinstance(value, int | float)}
    if not isinstance(ours, int | float) or not numbers:
        return ""
    better = [_with_article(each) for each, value in numbers.items() if ours < value]
    worse = [_with_article(each) for each, value in numbers.items() if not ours < value]
    what = "network" if metrics.get("members", 1) == 1 else "ensemble"
    it = f"By test {NAMES.get(names[0], names[0])}, the {what}"
    if not worse:
        return f"{it} is better than {_and(better)}."
    if not better:
        return f"{it} is no better than {_and(worse, 'or')}."
    return f"{it} is better than {_and(better)}, but not better than {_and(worse, 'or')}."


def _with_article(name: str) -> str:
    return f"the {name}" if name in ("mean", "class shares") else name


def _and(words: list[str], last: str = "and") -> str:
    *others, end = words
    return f"{', '.join(others)} {last} {end}" if others else end
