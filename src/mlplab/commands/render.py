"""Scores for people: tables for terminals, and how a run compares with its baselines in a sentence."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rich.table import Table as RichTable
from rich.text import Text

from mlplab.config.metrics import (
    BASELINES,
    CLASSIFICATION,
    DEFAULT_THRESHOLD,
    REGRESSION,
    metrics_among,
    sign_of,
)
from mlplab.console import in_digits
from mlplab.errors import shortened
from mlplab.files import Plain

# Formats of the metrics that have the same number of decimals everywhere.
FORMATS = dict.fromkeys(("r2", *CLASSIFICATION), ".4f")

# Names of metrics above the columns of a table, of which 80 characters have room for all.
SHORT = {
    **{"accuracy": "acc.", "balanced_accuracy": "bal._acc.", "average_precision": "avg._prec."},
    "calibration_error": "calib._error",
}

# Names of metrics in text, where they differ from those in `metrics.json`.
NAMES = {
    **{"rmse": "RMSE", "mae": "MAE", "r2": "R²", "log_loss": "log loss", "auroc": "AUROC"},
    **{"pinball": "pinball loss", "balanced_accuracy": "balanced accuracy", "f1_macro": "macro F1"},
    **{"average_precision": "average precision", "calibration_error": "calibration error"},
}

NOTHING = "–"  # stands for a number that there is not

FEW_ROWS = 20  # on which scores say little of how good a network is

REMEDY = "train longer (trainer.max_epochs=…), or check whether the columns say anything about the target"


def tensorboard_folder(run: Path) -> Path:
    """The folder in which TensorBoard finds a run alone: the one around it, or it would call the run `.`.

    But not the current folder, nor one outside it, such as the home folder: TensorBoard would search all of
    that.
    """
    here, around = Path.cwd(), run.resolve().parent
    return around if around != here and around.is_relative_to(here) else run


def score_table(rows: Mapping[str, Mapping[str, float | None]], title: str = "test") -> RichTable:
    """A row of scores for each name; a dash if a score is not finite."""
    metrics = metrics_among(next(iter(rows.values())))
    table = RichTable(title, *(SHORT.get(name, name).replace("_", "\n") for name in metrics))
    for name, scores in rows.items():
        cells = (format_score(scores[metric], metric) for metric in metrics)
        table.add_row(BASELINES[metrics].get(name, name), *cells)
    return table


def confusion_table(classes: Sequence[str], confusion: Sequence[Sequence[float]]) -> RichTable:
    """A row for each true class: its rows by predicted class, its precision, recall and support."""
    numbers = len(classes) <= 12
    table = RichTable(title="rows by true (down) and predicted class" if numbers else None)
    table.add_column("true", overflow="fold")
    for label in classes if numbers else ():
        table.add_column(Text(label), justify="right", overflow="fold")
    for name in ("precision", "recall", "support"):
        table.add_column(name, justify="right")
    predicted = [sum(column) for column in zip(*confusion, strict=True)]
    for number, (label, row) in enumerate(zip(classes, confusion, strict=True)):
        support = sum(row)
        shares = (row[number] / total if total else math.nan for total in (predicted[number], support))
        rates = (format_score(share, "accuracy") for share in shares)
        counts = [*(row if numbers else ()), support]
        shown = [f"{count:,.0f}" if float(count).is_integer() else f"{count:,.1f}" for count in counts]
        table.add_row(Text(label), *shown[:-1], *rates, shown[-1])
    return table


def format_score(value: float | None, metric: str) -> str:
    """A metric, rounded as in tables."""
    if value is None or math.isnan(value):
        return NOTHING
    spec = FORMATS.get(metric.rpartition("/")[2])
    return format(value, spec) if spec else in_digits(value)


def format_mean(mean: float | None, sd: float | None, metric: str) -> str:
    """Mean ± standard deviation; only the mean if runs do not differ in it. Each may be None or NaN."""
    score = format_score(mean, metric)
    return f"{score} ± {in_digits(sd, 2)}" if sd and not math.isnan(sd) else score


def verdict(metrics: Plain, *, has_class_weights: bool = False) -> str:
    """How test scores compare by the first metric, and how often intervals or sets are right.

    It is empty without baselines, and without intervals or sets.

    Args:
        metrics: the content of a run's metrics.json or evaluation.json.
        has_class_weights: whether the loss has them. They shift all probabilities, which costs log loss, so
            AUROC is compared instead, where it is defined.
    """
    sentences = _comparison(metrics, has_class_weights), _coverage(metrics), *_rare_class(metrics)
    return " ".join(filter(None, sentences))


def _coverage(metrics: Plain) -> str:
    levels = (found[1] for name in metrics if (found := re.fullmatch("test/coverage_([^/]+)", name)))
    level = next(levels, None)
    share, size, width = (metrics.get(f"test/{name}_{level}") for name in ("coverage", "set_size", "width"))
    if share is not None and size is not None:
        what = f"Sets of level {level} contain the class of {share:.1%} of the test rows"
        if rarely := _by_class(metrics, f"coverage_{level}"):
            lowest = min(rarely, key=lambda label: rarely[label])
            others = f" (the lowest of {len(rarely)} such classes)" * (len(rarely) > 1)
            what += f", but only of {rarely[lowest]:.1%} of those of {shortened(lowest)}{others}"
        return f"{what}; their mean size is {size:.3g}."
    if share is not None and width is not None:
        what = f"Intervals of level {level} contain {share:.1%} of the test rows' targets"
        return f"{what}; their mean width is {in_digits(width)}."
    return ""


def _by_class(metrics: Plain, name: str) -> dict[str, float]:
    prefix = f"test/{name}/"
    return {key.removeprefix(prefix): value for key, value in metrics.items() if key.startswith(prefix)}


def _rare_class(metrics: Plain) -> Iterator[str]:
    """That a rare class is hardly found though rows are ranked well; and its own average precision."""
    found, ranked = (metrics.get(f"test/{name}") or 0 for name in ("balanced_accuracy", "auroc"))
    is_default = metrics.get("threshold") == DEFAULT_THRESHOLD and "threshold_rows" not in metrics
    if is_default and found < 0.6 and ranked > 0.75:
        what = f"The rarer class is hardly found (balanced accuracy {found:.2f})"
        yield f"{what}, though rows are ranked well (AUROC {ranked:.2f}): threshold=auto finds more of it."
    for label, precision in _by_class(metrics, "average_precision").items():
        own = f"that of {shortened(label)} is {precision:.4f} (data.positive chooses which is in the table)"
        yield f"The average precision is that of the common class; {own}."


def _comparison(metrics: Plain, has_class_weights: bool) -> str:
    names = metrics_among(metrics, "test/") or REGRESSION
    metric = "auroc" if has_class_weights and metrics.get("test/auroc") is not None else names[0]
    sign, ours = sign_of(metric), metrics.get(f"test/{metric}")
    theirs = {key: metrics.get(f"{key}/test/{metric}") for key in BASELINES[names]}
    numbers = {key: value for key, value in theirs.items() if value is not None}
    if ours is None or not numbers:
        return ""
    titles = BASELINES[names] | {"constant": f"the {BASELINES[names]['constant']}"}
    better = [titles[key] for key, value in numbers.items() if sign * ours < sign * value]
    worse = [titles[key] for key, value in numbers.items() if not sign * ours < sign * value]
    what = "network" if metrics.get("members", 1) == 1 else "ensemble"
    clauses = [f"is better than {_joined(better, 'and')}"] if better else []
    clauses += [f"is no better than {_joined(worse, 'or')}"] if worse else []
    has_enough_rows = metrics.get("rows", FEW_ROWS) >= FEW_ROWS
    remedy = f": {REMEDY}" if titles["constant"] in worse and has_enough_rows else ""
    return f"By test {NAMES.get(metric, metric)}, the {what} {', but '.join(clauses)}{remedy}."


def _joined(names: Sequence[str], last: str) -> str:
    return f" {last} ".join(filter(None, (", ".join(names[:-1]), names[-1])))
