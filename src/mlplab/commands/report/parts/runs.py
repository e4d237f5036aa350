"""The part of a page about several runs: a table of them, charts, and the best run."""

import math
from collections import Counter
from dataclasses import dataclass

from mlplab.commands.render import format_score
from mlplab.commands.report.charts import MOST_RUNS, Drawing, comparison_charts, drawing
from mlplab.commands.report.comparison import Comparison
from mlplab.commands.report.parts.best_scores import best_scores, named
from mlplab.commands.report.parts.importance import ImportanceSection, importance_in
from mlplab.commands.report.parts.run import RunPart, run_part
from mlplab.commands.report.parts.search import SearchSection, read_best_trial, search_section
from mlplab.commands.report.parts.text_table import TextTable
from mlplab.runs.selection import REPEATS, in_brief

STATUS = ("status", "reason")

OF_SEARCH = ("history", "hyperparameter_importance")
"""Charts that stand with the best trial of a search."""

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
        search: the search that asked for the runs; None if they are others.
        scores: the best configuration beside its baselines and chosen ensembles; None without test scores.
        importance: of the columns, for some of the runs.
        unfinished: names, and why they have not finished.
        notes: sentences about what is shown.
    """

    title: str
    count: str
    monitor: str
    chosen: str
    search: SearchSection | None
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
    best_trial, missing = read_best_trial(comparison) if comparison.is_search else (None, [])
    charts = {
        name: drawing(name, chart.to_dict(validate=False))
        for name, chart in comparison_charts(comparison, best_trial).items()
    }
    of_search = [charts.pop(name) for name in OF_SEARCH if name in charts]
    return RunsPart(
        comparison.title,
        _count(comparison),
        comparison.monitor,
        comparison.labelled(comparison.configuration(best[0])) if best else "",
        search_section(comparison, best_trial, missing, of_search) if comparison.is_search else None,
        best_scores(comparison),
        _table(comparison),
        list(charts.values()),
        importance_in(comparison.root, [comparison.name(run) for run in runs]),
        _unfinished(comparison),
        _notes(comparison),
        run_part(comparison, best[0]) if best else None,
    )


def _count(comparison: Comparison) -> str:
    """How many runs and configurations there are."""
    done = sum(run.done for run in comparison.runs)
    runs, configurations = len(comparison.runs), len(comparison.results.groups)
    states = Counter(str(run.metrics["status"]) for run in comparison.runs if not run.done)
    others = "".join(f", {count:,} {status}" for status, count in states.items())
    return f"{runs:,} runs of {configurations:,} configurations: {done:,} done{others}"


def _table(comparison: Comparison) -> RunsTable:
    """The runs, with the metrics that any of them has.

    Of a search, only the best trial has test scores, so they are left out; the others may have fewer epochs.
    """
    keys, of_search = comparison.keys, comparison.is_search
    known = comparison.results.metrics[:1] if of_search else comparison.results.metrics
    metrics = [name for name in known if any(math.isfinite(run.metric(name)) for run in comparison.runs)]
    others = ["epochs", "status"] if of_search else ["status"]
    repeats = [key for key in REPEATS if len({run.values([key]) for run in comparison.runs}) > 1]
    short = (key.removeprefix("data.") for key in repeats)
    head = ["trial" if of_search else "run", *keys.values(), *short, *map(named, metrics), *others]
    rows = [
        [
            comparison.name(run),
            *map(in_brief, run.values((*keys, *repeats))),
            *(format_score(run.metric(name), name) for name in metrics),
            *(str(run.metrics.get(name, "–")) for name in others),
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
    """Unfinished runs, but not pruned trials."""
    runs = [run for run in comparison.runs if run.metrics["status"] not in ("done", "pruned")]
    return [
        (comparison.name(run), ": ".join(str(run.metrics[each]) for each in STATUS if each in run.metrics))
        for run in runs[:MOST_REASONS]
    ]


def _notes(comparison: Comparison) -> list[str]:
    notes = []
    if comparison.repeats:
        what = "Left out because they have the same configuration and seed as another run"
        notes.append(f"{what}: {comparison.repeats:,}.")
    if sum(run.done for run in comparison.runs) > MOST_RUNS:
        notes.append(f"The charts below show the best {MOST_RUNS} runs by {comparison.monitor}.")
    if "ensemble" in comparison.keys:
        notes.append(
            "Validation scores of ensembles are out of fold, and stricter than those of single networks: "
            "compare runs with the same value of ensemble."
        )
    return notes
