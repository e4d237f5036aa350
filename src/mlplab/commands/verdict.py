"""How a run compares with its baselines, in a sentence for terminals and pages."""

from collections.abc import Mapping, Sequence
from typing import Any

from mlplab.config.metrics import BASELINES, CLASSIFICATION, REGRESSION

NAMES = {
    **{"rmse": "RMSE", "mae": "MAE", "r2": "R²", "log_loss": "log loss", "auroc": "AUROC"},
    **{"balanced_accuracy": "balanced accuracy", "f1_macro": "macro F1"},
    "calibration_error": "calibration error",
}
"""Names of metrics in text, where they differ from those in `metrics.json`."""


def verdict(metrics: Mapping[str, Any]) -> str:
    """Compares test scores by the first metric, of which low values are good; empty without baselines.

    Args:
        metrics: the content of a run's metrics.json or evaluation.json.
    """
    names = CLASSIFICATION if f"test/{CLASSIFICATION[0]}" in metrics else REGRESSION
    ours = metrics.get(f"test/{names[0]}")
    theirs = {title: metrics.get(f"{key}/test/{names[0]}") for key, title in BASELINES[names].items()}
    numbers = {title: value for title, value in theirs.items() if isinstance(value, int | float)}
    if not isinstance(ours, int | float) or not numbers:
        return ""
    articles = {"mean": "the mean", "class shares": "the class shares"}
    better = [articles.get(name, name) for name, value in numbers.items() if ours < value]
    worse = [articles.get(name, name) for name, value in numbers.items() if not ours < value]
    what = "network" if metrics.get("members", 1) == 1 else "ensemble"
    clauses = [f"is better than {_joined(better, 'and')}"] if better else []
    clauses += [f"is no better than {_joined(worse, 'or')}"] if worse else []
    return f"By test {NAMES.get(names[0], names[0])}, the {what} {', but '.join(clauses)}."


def _joined(names: Sequence[str], last: str) -> str:
    """Names in a sentence: `a, b and c`."""
    return f" {last} ".join(filter(None, (", ".join(names[:-1]), names[-1])))
