"""The part of a page about several runs: a table of them, charts, and the best run."""

from collections import Counter
from dataclasses import dataclass

from mlplab.commands.render import format_mean, format_score
from mlplab.commands.report.charts import MOST_RUNS, Drawing, comparison_charts, drawing
from mlplab.commands.report.comparison import Comparison
from mlplab.commands.report.parts.importance import ImportanceSection, importance_in
from mlplab.commands.report.parts.run import RunPart, run_part
from mlplab.commands.report.parts.scores import NAMES
from mlplab.commands.report.parts.text_table import TextTable
from mlplab.commands.results import Score, score
from mlplab.config.metrics import BASELINES, CLASSIFICATION, REGRESSION
from mlplab.runs.selection import REPEATS, RunResult, as_typed

STATUS = ("status", "reason")

MOST_REASONS = 10
"""Unfinished runs whose reason is shown at most."""


@dataclass(frozen=True)
class RunsTable:
    """A row for each run, best first by validation.

    Attributes:
        rows: the first rows, which stand in the page itself.
        more: further rows, which the page shows when it is asked to.
        text: the numbers of the columns with text.
        best: the numbers of the rows of the best configuration.
    """

    head: list[str]
    rows: list[list[str]]
    more: list[list[str]]
    text: list[int]
    best: list[int]


@dataclass(frozen=True)
class RunsPart:
    """What a page shows about runs on one table.

    Attributes:
        chosen: the best configuration, as `lr=0.01`; empty if no key varies.
        scores: the best configuration beside its baselines; None if none of its runs has test scores.
        importance: of the columns, for some of the runs.
        unfinished: names, and why they have not finished.
        notes: sentences about what is shown.
    """

    title: str
    count: str
    monitor: str
    chosen: str
    scores: TextTable | None
    table: RunsTable
    charts: list[Drawing]
    importance: ImportanceSection | None
    unfinished: list[tuple[str, str]]
    notes: list[str]
    best: RunPart | None


def runs_part(comparison: Comparison) -> RunsPart:
    """Summarizes several runs."""
    runs, best = comparison.runs, comparison.best
    charts = comparison_charts(comparison)
    done = sum(run.done for run in runs)
    return RunsPart(
        comparison.title,
        _count(comparison, done),
        comparison.monitor,
        comparison.labelled(comparison.configuration(best[0])) if best else "",
        _scores(comparison) if best else None,
        _table(comparison),
        [drawing(name, chart.to_dict(validate=False)) for name, chart in charts.items()],
        importance_in(comparison.root, [comparison.name(run) for run in runs]),
        _unfinished(comparison),
        _notes(comparison, done),
        run_part(comparison, best[0]) if best else None,
    )


def _count(comparison: Comparison, done: int) -> str:
    """How many runs and configurations there are."""
    runs, configurations = len(comparison.runs), len(comparison.results.groups)
    states = Counter(str(run.metrics["status"]) for run in comparison.runs if not run.done)
    others = "".join(f", {count:,} {status}" for status, count in states.items())
    return f"{runs:,} runs of {configurations:,} configurations: {done:,} done{others}"


def _scores(comparison: Comparison) -> TextTable | None:
    """The mean test scores of the best configuration, and of its runs' baselines; None if there are none."""
    best, results = comparison.best, comparison.results
    names = [name for name in results.metrics if name.startswith("test/")]
    of_task = CLASSIFICATION if "test/log_loss" in names else REGRESSION
    over = next(group.over for group in results.groups if group.runs)
    label = "best configuration" if comparison.keys else "the runs"
    prefixes = {label: ""} | {each: f"{name}/" for name, each in BASELINES[of_task].items()}
    rows = [
        (name, *(_mean(score(best, f"{prefix}{metric}"), metric) for metric in names))
        for name, prefix in prefixes.items()
        if any(f"{prefix}{names[0]}" in run.metrics for run in best)
    ]
    if not rows:
        return None
    spread = f": mean ± SD over {over}" if over else ""
    head = ["model", *(_named(name) for name in names)]
    return TextTable(
        f"Test scores of the best configuration and its baselines{spread}", head, rows, marked=(0,)
    )


def _mean(found: Score, metric: str) -> str:
    """Mean ± standard deviation, if there is any."""
    return format_mean(found, metric, with_se=False) if found.sd else format_score(found.mean, metric)


def _named(metric: str) -> str:
    """`test/rmse` as `test RMSE`."""
    part, _, name = metric.partition("/")
    return f"{part} {NAMES.get(name, name)}"


def _table(comparison: Comparison) -> RunsTable:
    keys, metrics = comparison.keys, comparison.results.metrics
    repeats = [key for key in REPEATS if len({run.values([key]) for run in comparison.runs}) > 1]
    short = (key.removeprefix("data.") for key in repeats)
    head = ["run", *keys.values(), *short, *map(_named, metrics), "status"]
    rows = [
        [
            comparison.name(run),
            *(as_typed(run.config.get(key)) for key in (*keys, *repeats)),
            *(format_score(run.metric(name), name) for name in metrics),
            str(run.metrics["status"]),
        ]
        for run in comparison.ranked
    ]
    best = {run.folder for run in comparison.best}
    marked = [index for index, run in enumerate(comparison.ranked) if run.folder in best]
    text = [index for index in range(len(head)) if not all(_is_number(row[index]) for row in rows)]
    return RunsTable(head, rows[:MOST_RUNS], rows[MOST_RUNS:], text, marked)


def _is_number(cell: str) -> bool:
    """Whether a cell aligns with numbers; a dash stands for a missing one."""
    try:
        float(cell)
    except ValueError:
        return cell == "–"
    return True


def _unfinished(comparison: Comparison) -> list[tuple[str, str]]:
    runs = sorted((run for run in comparison.runs if not run.done), key=_is_pruned)  # failures come first
    return [
        (comparison.name(run), ": ".join(str(run.metrics[each]) for each in STATUS if each in run.metrics))
        for run in runs[:MOST_REASONS]
    ]


def _is_pruned(run: RunResult) -> bool:
    return bool(run.metrics["status"] == "pruned")


def _notes(comparison: Comparison, done: int) -> list[str]:
    notes = []
    if comparison.repeats:
        what = "Left out because they have the same configuration and seed as another run"
        notes.append(f"{what}: {comparison.repeats:,}.")
    if done > MOST_RUNS:
        notes.append(f"The charts show the best {MOST_RUNS} runs by {comparison.monitor}.")
    if "ensemble" in comparison.keys:
        notes.append(
            "Validation scores of ensembles are out of fold, and stricter than those of single networks: "
            "compare runs with the same value of ensemble."
        )
    return notes
