"""The part of a page about several runs: the best of them, a table, charts, and the best run."""

import logging
import math
import re
from typing import Any

from mlplab.commands.render import format_mean, format_score
from mlplab.commands.report.charts import MOST_RUNS, comparison_charts, drawing
from mlplab.commands.report.comparison import Comparison
from mlplab.commands.report.run import run_part
from mlplab.commands.report.tables import TextTable, ensembles_of, importance_in
from mlplab.commands.results import averaged_over, counts_of
from mlplab.commands.verdict import NAMES
from mlplab.config.metrics import BASELINES, CLASSIFICATION, REGRESSION
from mlplab.console import plural
from mlplab.errors import UserError, reason_of
from mlplab.runs.best_trial import BestTrial
from mlplab.runs.ranking import score
from mlplab.runs.selection import REPEATS, in_brief

NOTHING = "–"

NUMBER = re.compile(rf"[-+.\de]+|{NOTHING}")
"""A cell that aligns with numbers."""

log = logging.getLogger(__name__)


def runs_part(comparison: Comparison) -> dict[str, Any]:
    """What the page shows about runs on one table."""
    best, is_search = comparison.best, comparison.is_search
    trial, notes = _read_best_trial(comparison) if is_search else (None, [])
    charts = comparison_charts(comparison, trial)
    return {
        "noun": "trial" if is_search else "run",
        "summary": _summary(comparison, trial),
        "notes": [*notes, *_notes(comparison)],
        "command": trial.command if trial else "",
        "configuration": _best_configuration(comparison),
        "scores": _best_scores(comparison),
        "table": _table(comparison),
        "charts": [drawing(name, chart.to_dict(validate=False)) for name, chart in charts.items()],
        "importance": importance_in(comparison.root, list(map(comparison.name, comparison.runs))),
        "best": run_part(comparison, best[0]) if best else None,
    }


def _read_best_trial(comparison: Comparison) -> tuple[BestTrial | None, list[str]]:
    """What a search wrote of its best trial; None if that is damaged, or not the best of the trials now."""
    try:
        best = BestTrial.read(comparison.runs[0].folder.parent)
    except UserError as error:
        log.warning("%s", reason_of(error))
        return None, [reason_of(error)]
    if best is None or best.trial not in [run.folder.name for run in comparison.best[:1]]:
        return None, ["The search has not ended, so its best trial has not been tested."]
    return best, []


def _summary(comparison: Comparison, trial: BestTrial | None) -> str:
    """How many runs there are, which is the best, and on which rows it was chosen."""
    counts = counts_of(comparison.runs, "trial" if comparison.is_search else "run")
    if not comparison.best:
        return f"{counts}. None of them has finished."
    best, monitor = comparison.best[0], comparison.monitor
    score = format_score(best.metric(monitor), monitor)
    chosen = f"The best by {monitor} is {comparison.name(best)} ({score}), chosen on the validation rows."
    once = "The search used the test rows once, to score it."
    return f"{counts}. {chosen} {once if trial else 'Test scores take no part in the choice.'}"


def _best_configuration(comparison: Comparison) -> TextTable | None:
    """The values of the keys that vary; None if no run has finished."""
    if not comparison.best or not comparison.keys:
        return None
    values = map(in_brief, comparison.best[0].values(comparison.keys))
    rows = list(zip(comparison.keys, values, strict=True))
    return TextTable("The best configuration", ("hyperparameter", "value"), rows)


def _best_scores(comparison: Comparison) -> TextTable | None:
    """A row each for the best, the chosen ensembles and the baselines; None without scores."""
    best, metrics = comparison.best, comparison.metrics
    baselines = BASELINES[CLASSIFICATION if "test/log_loss" in metrics else REGRESSION]
    means = {
        title: [format_mean(score(best, prefix + name), name, with_se=False) for name in metrics]
        for prefix, title in {"": "best", **{f"{key}/": title for key, title in baselines.items()}}.items()
    }
    rows = {f"best {'trial' if comparison.is_search else 'configuration'}": means.pop("best")}
    for name, ensemble in ensembles_of(comparison.runs).items():
        title = f"{name} ({plural(len(ensemble.runs), 'run')})"
        rows[title] = [format_score(ensemble.scores.get(metric), metric) for metric in metrics]
    shown = [(title, *row) for title, row in (rows | means).items() if {*row[1:]} != {NOTHING}]
    over = averaged_over(best)
    caption = "Scores of the best, of ensembles chosen on the validation rows, and of baselines"
    caption += f": mean ± SD over {over}" if over else ""
    return TextTable(caption, ["model", *map(_named, metrics)], shown, marked=(0,)) if shown else None


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
    repeats = [key for key in REPEATS if len({run.values([key]) for run in runs}) > 1]
    rows = []
    for run in runs:
        status, reason = (str(run.metrics.get(key, "")) for key in ("status", "reason"))
        rows.append(
            [
                comparison.name(run),
                *map(in_brief, run.values((*keys, *repeats))),
                *(format_score(run.metric(name), name) for name in metrics),
                *[str(run.metrics.get("epochs", NOTHING))] * is_search,
                f"{status}: {reason}" if reason and status not in ("done", "pruned") else status,
            ]
        )
    short = [key.removeprefix("data.") for key in repeats]
    others = [*["epochs"] * is_search, "status"]
    head = ["trial" if is_search else "run", *keys.values(), *short, *map(_named, metrics), *others]
    return TextTable(
        f"Best first by {comparison.monitor}; the best configuration is marked",
        head,
        rows,
        text=[k for k in range(len(head)) if not all(NUMBER.fullmatch(row[k]) for row in rows)],
        marked=[number for number, run in enumerate(runs) if run in comparison.best],
    )


def _notes(comparison: Comparison) -> list[str]:
    notes = []
    if comparison.repeats:
        what = "Left out because they have the same configuration and seed as another run"
        notes.append(f"{what}: {comparison.repeats:,}.")
    if sum(run.done for run in comparison.runs) > MOST_RUNS:
        notes.append(f"There are curves of the best {MOST_RUNS} runs by {comparison.monitor}.")
    if "ensemble" in comparison.keys:
        notes.append(
            "Validation scores of ensembles are out of fold, and stricter than those of single networks: "
            "compare runs with the same value of ensemble."
        )
    return notes
