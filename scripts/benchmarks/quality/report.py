"""The tables of `quality`, which fit a terminal of 80 columns."""

from collections.abc import Iterator, Mapping, Sequence

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
        rows = {
            contender: (
                f"{mean.error:.4g}",
                _ratio(mean.error / by_contender[base].error),
                shown(mean.fit_seconds),
                shown(mean.predict_seconds),
            )
            for contender, mean in by_contender.items()
        }
        _add_section(table, name, rows)
    return table


def _classes(means: Means, base: str) -> Table:
    table = grid("classes: test scores", "", "log-loss", f"of {base}", "accuracy", "calibration", "fit")
    for name, by_contender in means.items():
        rows = {
            contender: (
                f"{mean.error:.4f}",
                _ratio(mean.error / by_contender[base].error),
                f"{mean.metrics['accuracy']:.4f}",
                f"{mean.metrics['calibration_error']:.4f}",
                shown(mean.fit_seconds),
            )
            for contender, mean in by_contender.items()
        }
        _add_section(table, name, rows)
    return table


def _over_tables(numbers: Means, classes: Means, base: str) -> Table:
    caption = f"mean and geometric mean: of the ratios to {base}'s errors; fit and prediction: means"
    columns = ("mean", "geometric", "rank", "fit", "prediction")
    table = grid("over tables", "", *columns, caption=caption)
    groups = {"numbers": numbers, "classes": classes, "all": {**numbers, **classes}}
    for name, means in groups.items():
        if not means or (name == "all" and not (numbers and classes)):
            continue
        rows = {
            contender: (
                _ratio(summary.ratio),
                _ratio(summary.geometric_ratio),
                f"{summary.rank:.2f}",
                shown(summary.fit_seconds),
                shown(summary.predict_seconds),
            )
            for contender, summary in summaries_of(means, base).items()
        }
        _add_section(table, f"{name}: {len(means)} table{'s' * (len(means) > 1)}", rows)
    return table


def _ratio(value: float) -> str:
    return f"{value:.3f}×"


def _add_section(table: Table, name: str, rows: Mapping[str, Sequence[str]]) -> None:
    """A row for a table or a task, and one for each contender below it."""
    table.add_section()
    table.add_row(Text(name, style="bold"))
    for contender, cells in rows.items():
        table.add_row(f"  {contender}", *cells)
