"""The part of a page about several runs: a table of them, charts, and the best run."""

import math
import re
from collections import Counter
from typing import Any

from mlplab.commands.render import format_mean, format_score
from mlplab.commands.report.charts import MOST_RUNS, comparison_charts, drawing
from mlplab.commands.report.comparison import Comparison
from mlplab.commands.report.run import run_part
from mlplab.commands.report.search import read_best_trial, search_section
from mlplab.commands.report.tables import TextTable, ensembles_of, importance_in, text_table
from mlplab.commands.results import averaged_over
from mlplab.commands.verdict import NAMES
from mlplab.config.metrics import BASELINES, CLASSIFICATION, REGRESSION
from mlplab.runs.ranking import score
from mlplab.runs.selection import REPEATS, in_brief

NOTHING = "–"

NUMBER = re.compile(rf"[-+.\de]+|{NOTHING}")
"""A cell that aligns with numbers."""

OF_SEARCH = ("history", "hyperparameter_importance")
"""Charts that stand with the best trial of a search."""

MOST_REASONS = 10
"""Unfinished runs whose reason is shown at most."""


def runs_part(comparison: Comparison) -> dict[str, Any]:
    """What the page shows about runs on one table."""
    best, is_search = comparison.best, comparison.is_search
    best_trial, missing = read_best_trial(comparison) if is_search else (None, [])
    charts = {
        name: drawing(name, chart.to_dict(validate=False))
        for name, chart in comparison_charts(comparison, best_trial).items()
    }
    of_search = [charts.pop(name) for name in OF_SEARCH if name in charts]
    unfinished = [run for run in comparison.runs if run.metrics["status"] not in ("done", "pruned")]
    return {
        "title": comparison.title,
        "count": _count(comparison),
        "monitor": comparison.monitor,
        "chosen": comparison.label(best[0].values(comparison.keys)) if best else "",
        "search": search_section(comparison, best_trial, missing, of_search) if is_search else None,
        "scores": _best_scores(comparison),
        "table": _table(comparison),
        "charts": list(charts.values()),
        "importance": importance_in(comparison.root, list(map(comparison.name, comparison.runs))),
        "unfinished": [
            (
                comparison.name(run),
                ": ".join(str(run.metrics[key]) for key in ("status", "reason") if key in run.metrics),
            )
            for run in unfinished[:MOST_REASONS]
        ],
        "notes": _notes(comparison),
        "best": run_part(comparison, best[0]) if best else None,
    }


def _count(comparison: Comparison) -> str:
    """How many runs and configurations there are."""
    states = Counter(str(run.metrics["status"]) for run in comparison.runs)
    done = states.pop("done", 0)
    others = "".join(f", {count:,} {status}" for status, count in states.items())
    configurations = len(comparison.configurations)
    return f"{len(comparison.runs):,} runs of {configurations:,} configurations: {done:,} done{others}"


def _best_scores(comparison: Comparison) -> TextTable | None:
    """A row each for the best configuration, the chosen ensembles and the baselines.

    They have test scores; with ensembles, also the validation error by which those were chosen. None if there
    are no test scores.
    """
    best, ensembles = comparison.best, ensembles_of(comparison.runs)
    tests = list(comparison.metrics[1:])
    validated = [name for _, scores in ensembles.values() for name in scores if name.startswith("val/")]
    metrics = [*dict.fromkeys(validated), *tests]
    label = "best trial" if comparison.is_search else "best configuration" if comparison.keys else "the runs"
    baselines = BASELINES[CLASSIFICATION if "test/log_loss" in tests else REGRESSION]
    rows = {
        title: [format_mean(score(best, prefix + name), name, with_se=False) for name in metrics]
        for prefix, title in {"": label, **{f"{key}/": title for key, title in baselines.items()}}.items()
    }
    chosen = {
        f"{name} ({count} run{'s' * (count != 1)})": [
            format_score(scores.get(metric), metric) for metric in metrics
        ]
        for name, (count, scores) in ensembles.items()
    }
    rows = {label: rows.pop(label), **chosen, **rows}
    rows = {title: cells for title, cells in rows.items() if set(cells[-len(tests) :]) != {NOTHING}}
    if not rows:
        return None
    what = label.removeprefix("the ")
    caption = (
        f"Scores of the {what}, of ensembles chosen on the validation rows, and of baselines"
        if chosen
        else f"Test scores of the {what} and its baselines"
    )
    over = averaged_over(best)
    return text_table(
        caption + (f": mean ± SD over {over}" if over else ""),
        ["model", *map(_named, metrics)],
        [(title, *cells) for title, cells in rows.items()],
        marked=[number for number, title in enumerate(rows) if title == label],
    )


def _named(metric: str) -> str:
    """`test/rmse` as `test RMSE`."""
    part, _, name = metric.partition("/")
    return f"{part} {NAMES.get(name, name)}"


def _table(comparison: Comparison) -> TextTable:
    """A row for each run, best first, with the metrics that any of them has.

    Of a search, only the best trial has test scores, so they are left out; the others may have fewer epochs.
    """
    runs, keys, is_search = comparison.ranked, comparison.keys, comparison.is_search
    known = comparison.metrics[:1] if is_search else comparison.metrics
    metrics = [name for name in known if any(math.isfinite(run.metric(name)) for run in runs)]
    others = ["epochs", "status"] if is_search else ["status"]
    repeats = [key for key in REPEATS if len({run.values([key]) for run in runs}) > 1]
    short = (key.removeprefix("data.") for key in repeats)
    rows = [
        [
            comparison.name(run),
            *map(in_brief, run.values((*keys, *repeats))),
            *(format_score(run.metric(name), name) for name in metrics),
            *(str(run.metrics.get(name, NOTHING)) for name in others),
        ]
        for run in runs
    ]
    what = "Trials" if is_search else "Runs"
    best = {run.folder for run in comparison.best}
    head = ["trial" if is_search else "run", *keys.values(), *short, *map(_named, metrics), *others]
    return text_table(
        f"{what}, best first by {comparison.monitor}; the best configuration is marked",
        head,
        rows,
        text=[k for k in range(len(head)) if not all(NUMBER.fullmatch(row[k]) for row in rows)],
        marked=[number for number, run in enumerate(runs) if run.folder in best],
    )


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
