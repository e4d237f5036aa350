"""How a run compares with its baselines, in a sentence for terminals and pages."""

import re
from collections.abc import Iterator, Sequence

from mlplab.config.metrics import BASELINES, DEFAULT_THRESHOLD, REGRESSION, metrics_among, sign_of
from mlplab.console import in_digits
from mlplab.errors import shortened
from mlplab.files import Plain

NAMES = {
    **{"rmse": "RMSE", "mae": "MAE", "r2": "R²", "log_loss": "log loss", "auroc": "AUROC"},
    **{"pinball": "pinball loss", "balanced_accuracy": "balanced accuracy", "f1_macro": "macro F1"},
    **{"average_precision": "average precision", "calibration_error": "calibration error"},
}
"""Names of metrics in text, where they differ from those in `metrics.json`."""


REMEDY = "train longer (trainer.max_epochs=…), or check whether the columns say anything about the target"
"""What to do about a network that is no better than a constant prediction."""


COVERAGE = re.compile(r"test/coverage_([^/]+)")
"""The share of test rows whose target is in its interval, or whose class is in its set; by the level."""

HARDLY_FOUND, RANKED_WELL = 0.6, 0.75
"""The balanced accuracy below which, and the AUROC above which, another threshold would be better."""


def verdict(metrics: Plain, *, has_class_weights: bool = False) -> str:
    """How test scores compare by the first metric, and how often intervals or sets are right.

    It is empty without baselines, and without intervals or sets.

    Args:
        metrics: the content of a run's metrics.json or evaluation.json.
        has_class_weights: whether the loss has them. They shift all probabilities, which costs log loss, so
            AUROC is compared instead, where it is defined.
    """
    comparison = _comparison(metrics, has_class_weights=has_class_weights)
    return " ".join(filter(None, (comparison, _coverage(metrics), *_rare_class(metrics))))


def _coverage(metrics: Plain) -> str:
    found = next(filter(None, map(COVERAGE.fullmatch, metrics)), None)
    if found is None or not isinstance(share := metrics[found[0]], int | float):
        return ""
    width, size = (metrics.get(f"test/{name}_{found[1]}") for name in ("width", "set_size"))
    if isinstance(size, int | float):
        what = f"Sets of level {found[1]} contain the class of {share:.1%} of the test rows"
        if rarely := _by_class(metrics, f"coverage_{found[1]}"):
            lowest = min(rarely, key=lambda label: rarely[label])
            others = f" (the lowest of {len(rarely)} such classes)" * (len(rarely) > 1)
            what += f", but only of {rarely[lowest]:.1%} of those of {shortened(lowest)}{others}"
        return f"{what}; their mean size is {size:.3g}."
    what = f"Intervals of level {found[1]} contain {share:.1%} of the test rows' targets"
    return f"{what}; their mean width is {in_digits(width)}." if isinstance(width, int | float) else ""


def _by_class(metrics: Plain, name: str) -> dict[str, float]:
    """The scores of classes by their label."""
    prefix = f"test/{name}/"
    return {key.removeprefix(prefix): value for key, value in metrics.items() if key.startswith(prefix)}


def _rare_class(metrics: Plain) -> Iterator[str]:
    """That a rare class is hardly found though rows are ranked well; and its own average precision."""
    found, ranked = (metrics.get(f"test/{name}") or 0 for name in ("balanced_accuracy", "auroc"))
    is_default = metrics.get("threshold") == DEFAULT_THRESHOLD and "threshold_rows" not in metrics
    if is_default and found < HARDLY_FOUND and ranked > RANKED_WELL:
        what = f"The rarer class is hardly found (balanced accuracy {found:.2f})"
        yield f"{what}, though rows are ranked well (AUROC {ranked:.2f}): threshold=auto finds more of it."
    for label, precision in _by_class(metrics, "average_precision").items():
        own = f"that of {shortened(label)} is {precision:.4f} (data.positive chooses which is in the table)"
        yield f"The average precision is that of the common class; {own}."


def _comparison(metrics: Plain, *, has_class_weights: bool) -> str:
    names = metrics_among(metrics, "test/") or REGRESSION
    metric = "auroc" if has_class_weights and metrics.get("test/auroc") is not None else names[0]
    sign, ours = sign_of(metric), metrics.get(f"test/{metric}")
    theirs = {key: metrics.get(f"{key}/test/{metric}") for key in BASELINES[names]}
    numbers = {key: value for key, value in theirs.items() if isinstance(value, int | float)}
    if not isinstance(ours, int | float) or not numbers:
        return ""
    titles = BASELINES[names] | {"constant": f"the {BASELINES[names]['constant']}"}
    better = [titles[key] for key, value in numbers.items() if sign * ours < sign * value]
    worse = [titles[key] for key, value in numbers.items() if not sign * ours < sign * value]
    what = "network" if metrics.get("members", 1) == 1 else "ensemble"
    clauses = [f"is better than {_joined(better, 'and')}"] if better else []
    clauses += [f"is no better than {_joined(worse, 'or')}"] if worse else []
    remedy = f": {REMEDY}" if titles["constant"] in worse else ""
    return f"By test {NAMES.get(metric, metric)}, the {what} {', but '.join(clauses)}{remedy}."


def _joined(names: Sequence[str], last: str) -> str:
    """Names in a sentence: `a, b and c`."""
    return f" {last} ".join(filter(None, (", ".join(names[:-1]), names[-1])))
