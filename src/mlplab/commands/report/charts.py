"""Charts as a page draws them, and those of a comparison of runs."""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlplab.commands.report.comparison import Comparison, compared
from mlplab.commands.report.curves import MOST_POINTS, read_curves
from mlplab.config.metrics import sign_of
from mlplab.figures import OF_RUN
from mlplab.figures.files import read_figures
from mlplab.figures.learning_curves import curves_of_runs, learning_curves
from mlplab.figures.scales import Value
from mlplab.figures.search import KINDS, Trial, history, hyperparameter_importance, score_of_trials
from mlplab.figures.style import Figure
from mlplab.figures.sweep import Point, score_over, spread
from mlplab.runs.best_trial import BestTrial, trial_number
from mlplab.runs.selection import RunResult, as_typed, short_keys

MOST_RUNS = 200
"""Runs that charts show at most: the best by the validation metric."""

MOST_KEYS = 8
"""Keys that vary of which there are charts at most."""

ALL_POINTS, FEWEST_POINTS = 20_000, 50
"""Points of the curves of many runs together, and of a run at least."""

WIDE = 600
"""Pixels from which a chart has a row of its own."""

LABELS = 140
"""Pixels beside a chart, for its axis and its legend, that count towards its width on a page."""

LOSSES = ("train/loss", "val/loss")

Drawing = Mapping[str, Any]
"""What the template shows as a chart: see `drawing`."""


def drawing(name: str, specification: Mapping[str, Any]) -> Drawing:
    """A figure's Vega-Lite specification, and its title, which the page writes: there it wraps.

    A single view follows the width of its box. The views of a larger figure keep theirs: its box scrolls.
    """
    rest = {key: value for key, value in specification.items() if key not in ("title", "usermeta")}
    title = specification.get("title")
    title = title if isinstance(title, dict) else {"text": title}
    text = _text(title.get("text")) or OF_RUN.get(name, name.replace("_", " ").capitalize())
    subtitle = _text(title.get("subtitle"))
    width: Any = rest.get("width")
    fits = {"mark", "layer"} & rest.keys() and isinstance(width, int | float)
    if fits:
        rest |= {"width": "container", "autosize": {"type": "fit-x", "contains": "padding"}}
    return {
        "title": text,
        "subtitle": subtitle,
        "label": _text(specification.get("description")) or ". ".join(filter(None, (text, subtitle))),
        "specification": rest,
        "max_width": width + LABELS if fits else None,
        "is_wide": not fits or width > WIDE,
    }


def _text(text: Any) -> str:
    """A text, or lines of it; the file may be anyone's."""
    return "; ".join(map(str, text)) if isinstance(text, list) else str(text or "")


def figures_of(folder: Path) -> dict[str, Drawing]:
    """The figures in a folder by name, in the order in which they are read."""
    figures = read_figures(folder)
    names = [name for name in dict.fromkeys((*OF_RUN, *figures)) if name in figures]
    return {name: drawing(name, figures[name]) for name in names}


def curves_of(run: RunResult) -> list[Drawing]:
    """The losses of a run by epoch, and the monitored metric if it is another."""
    monitor = str(run.config.get("monitor"))
    curves = read_curves(run.folder, {*LOSSES, monitor})
    epoch = run.metrics.get("best_epoch")
    charts = [
        learning_curves(shown, epoch if isinstance(epoch, int) else None)
        for names in (LOSSES, {monitor} - {*LOSSES})
        if (shown := {name: curves[name] for name in names if name in curves})
    ]
    return [drawing("curves", chart.to_dict(validate=False)) for chart in charts]


def sweep_charts(root: Path, runs: Sequence[RunResult], best: BestTrial | None = None) -> dict[str, Figure]:
    """The figures in a sweep's folder, by name; none if its runs are on several tables.

    Args:
        root: its folder.
        best: the best trial of a search; None if it has not ended.
    """
    comparisons = compared(root, runs)
    return comparison_charts(comparisons[0], best) if len(comparisons) == 1 else {}


def comparison_charts(comparison: Comparison, best: BestTrial | None = None) -> dict[str, Figure]:
    """The charts of runs by name: curves, the metric over each key that varies, and its spread.

    Those of a search have its history, and the importance of the hyperparameters. Its trials differ in all
    keys, so they have no spread.

    Args:
        best: the best trial of a search; None if it is unknown.
    """
    monitor, charts = comparison.monitor, dict[str, Figure]()
    scored = [run for run in comparison.ranked if run.done and math.isfinite(run.metric(monitor))]
    shown, importance = scored[:MOST_RUNS], best.importance if best else {}
    varying = [key for key in comparison.keys if len({run.values([key]) for run in shown}) > 1]
    keys = sorted(varying, key=lambda key: -importance.get(key, 0))[:MOST_KEYS]
    names = {comparison.keys[key]: "score_over_" + re.sub(r"\W", "_", comparison.keys[key]) for key in keys}
    if comparison.is_search:
        lowest_is_best = sign_of(monitor) > 0
        trials = [_trial(comparison, run, keys) for run in comparison.runs]
        if chart := history(trials, monitor, lowest_is_best=lowest_is_best):
            charts["history"] = chart
        if best and importance:
            shares = dict(zip(short_keys(list(importance)), importance.values(), strict=True))
            count = best.trials.get("done", 0)
            charts["hyperparameter_importance"] = hyperparameter_importance(shares, monitor, count)
        for key, name in names.items():
            known = [trial for trial in trials if key in trial.values and trial.status in KINDS]
            charts[name] = score_of_trials(key, known, monitor, lowest_is_best=lowest_is_best)
    elif len(shown) > 1:
        points = _points(comparison, shown, keys)
        charts |= {name: score_over(key, list(points.values()), monitor) for key, name in names.items()}
        groups = {
            comparison.label(values) or "all runs": of_values
            for values, runs in comparison.configurations.items()
            if (of_values := [points[run.folder] for run in runs if run.folder in points])
        }
        if len(groups) < len(shown):
            charts["spread"] = spread(groups, monitor)
    if len(shown) > 1:
        most = max(FEWEST_POINTS, min(MOST_POINTS, ALL_POINTS // len(shown)))
        read = {comparison.name(run): read_curves(run.folder, [monitor], most) for run in shown}
        if curves := {name: of_run[monitor] for name, of_run in read.items() if of_run}:
            best_runs = [comparison.name(run) for run in comparison.best]
            charts["curves"] = curves_of_runs(monitor, curves, best_runs)
    return charts


def _trial(comparison: Comparison, run: RunResult, keys: Sequence[str]) -> Trial:
    """A trial of a search; of a pruned one, with the score of its rung if there is no other."""
    status, number = str(run.metrics["status"]), trial_number(run.folder.name)
    assert number is not None
    scores = [run.metric(comparison.monitor), run.metric(f"rung/{run.metrics.get('rung')}")]
    known = [score for score in scores if math.isfinite(score)] if status in ("done", "pruned") else []
    values = {comparison.keys[key]: _plain(run.config[key]) for key in keys if key in run.config}
    return Trial(number, status, known[0] if known else math.nan, values)


def _points(comparison: Comparison, runs: Sequence[RunResult], keys: Sequence[str]) -> dict[Path, Point]:
    """The runs as points of charts, by folder."""
    best = {run.folder for run in comparison.best}
    return {
        run.folder: Point(
            comparison.name(run),
            {comparison.keys[key]: _plain(run.config.get(key)) for key in keys},
            run.metric(comparison.monitor),
            run.folder in best,
        )
        for run in runs
    }


def _plain(value: Any) -> Value:
    """A number, or text as typed."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number else as_typed(value)
