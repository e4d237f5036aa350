"""The tables of `quality`, which fit a terminal of 80 columns."""

from collections.abc import Iterator, Sequence

from rich.table import Table
from rich.text import Text

from benchmarks.quality.scores import Score
from benchmarks.quality.summary import Means, means_of, summaries_of
from benchmarks.report import grid
from benchmarks.timing import shown


def tables_of(scores: Sequence[Score], base: str) -> Iterator[Table]:
    """The errors on each table and over all tables, also relative to those of the contender `base`."""
    numbers = means_of(score for score in scores if score.trial.task == "regression")
    classes = means_of(score for score in scores if score.trial.task != "regression")
    if numbers:
        yield _numbers(numbers, base)
    if classes:
        yield _classes(classes, base)
    yield _over_tables(numbers, classes, base)


def _numbers(means: Means, base: str) -> Table:
    table = grid("numbers: test errors", "", "RMSE", f"of {base}", "fit", "prediction")
    for name, by_contender in means.items():
        _head(table, name)
        for contender, mean in by_contender.items():
            table.add_row(
                f"  {contender}",
                f"{mean.error:.4g}",
                f"{mean.error / by_contender[base].error:.3f}×",
                shown(mean.fit_seconds),
                shown(mean.predict_seconds),
            )
    return table


def _classes(means: Means, base: str) -> Table:
    table = grid("classes: test scores", "", "log-loss", f"of {base}", "accuracy", "calibration", "fit")
    for name, by_contender in means.items():
        _head(table, name)
        for contender, mean in by_contender.items():
            table.add_row(
                f"  {contender}",
                f"{mean.error:.4f}",
                f"{mean.error / by_contender[base].error:.3f}×",
                f"{mean.metrics['accuracy']:.4f}",
                f"{mean.metrics['calibration_error']:.4f}",
                shown(mean.fit_seconds),
            )
    return table


def _over_tables(numbers: Means, classes: Means, base: str) -> Table:
    caption = f"mean and geometric mean: of the ratios to {base}'s errors; fit and prediction: means"
    columns = ("mean", "geometric", "rank", "fit", "prediction")
    table = grid("over tables", "", *columns, caption=caption)
    groups = {"numbers": numbers, "classes": classes, "all": {**numbers, **classes}}
    for name, means in groups.items():
        if not means or (name == "all" and not (numbers and classes)):
            continue
        _head(table, f"{name}: {len(means)} table{'s' * (len(means) > 1)}")
        for contender, summary in summaries_of(means, base).items():
            table.add_row(
                f"  {contender}",
                f"{summary.ratio:.3f}×",
                f"{summary.geometric_ratio:.3f}×",
                f"{summary.rank:.2f}",
                shown(summary.fit_seconds),
                shown(summary.predict_seconds),
            )
    return table


def _head(table: Table, name: str) -> None:
    """A row for what the rows below it belong to."""
    table.add_section()
    table.add_row(Text(name, style="bold"))
