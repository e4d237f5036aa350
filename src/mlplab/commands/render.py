"""Scores for people: tables for terminals."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.table import Table as RichTable
from rich.text import Text

from mlplab.config.metrics import BASELINES, CLASSIFICATION, metrics_among
from mlplab.console import in_digits

FORMATS = dict.fromkeys(("r2", *CLASSIFICATION), ".4f")
"""Formats of the metrics that have the same number of decimals everywhere."""

SHORT = {
    **{"accuracy": "acc.", "balanced_accuracy": "bal._acc.", "average_precision": "avg._prec."},
    "calibration_error": "calib._error",
}
"""Names of metrics above the columns of a table, of which 80 characters have room for all."""

NOTHING = "–"
"""Stands for a number that there is not."""

MAX_CONFUSION = 12
"""Largest number of classes for which the numbers of rows by predicted class are shown."""


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
    heads = (SHORT.get(name, name).replace("_", "\n") for name in metrics)
    table = RichTable(title, *heads)
    for name, scores in rows.items():
        cells = (format_score(scores[metric], metric) for metric in metrics)
        table.add_row(BASELINES[metrics].get(name, name), *cells)
    return table


def confusion_table(classes: Sequence[str], confusion: Sequence[Sequence[float]]) -> RichTable:
    """A row for each true class: its rows by predicted class, its precision, recall and support."""
    numbers = len(classes) <= MAX_CONFUSION
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
    spec = FORMATS.get(metric.rpartition("/")[2])
    if value is None or math.isnan(value):
        return NOTHING
    return format(value, spec) if spec else in_digits(value)


def format_mean(mean: float | None, sd: float | None, metric: str) -> str:
    """Mean ± standard deviation; only the mean if runs do not differ in it. Each may be None or NaN."""
    score = format_score(mean, metric)
    return f"{score} ± {in_digits(sd, 2)}" if sd and not math.isnan(sd) else score
