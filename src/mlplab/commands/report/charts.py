"""Charts of a page, as specifications of Vega-Lite, and those of a comparison of runs."""

import math
from pathlib import Path
from typing import Any

from mlplab.commands.report.comparison import Comparison
from mlplab.figures import RUN_FIGURES
from mlplab.figures.files import read_figures
from mlplab.figures.learning_curves import LOSSES, charts_of_run, curves_of_runs
from mlplab.figures.runs import KINDS, RunPoint, history, score_over
from mlplab.figures.style import Figure
from mlplab.runs.compare.labels import plain_value
from mlplab.runs.compare.run_result import RunResult
from mlplab.runs.loggers.read_curves import read_curves
from mlplab.training.outcome import AS_PLANNED

MOST_RUNS = 200
"""Runs whose curves are drawn at most: the best by the validation metric."""

MOST_KEYS = 8
"""Keys that vary of which there are charts at most."""

MOST_POINTS = 100
"""Points of a curve that is one of many."""


def figures_of(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The figures in a folder by name, in the order in which they are read, view by view."""
    figures = read_figures(folder)
    names = [name for name in dict.fromkeys((*RUN_FIGURES, *figures)) if name in figures]
    return {
        name: [{"title": name.replace("_", " ").capitalize()} | view for view in _views(figures[name])]
        for name in names
    }


def _views(figure: dict[str, Any]) -> list[dict[str, Any]]:
    """The views that a figure puts together, which would be too wide for phones; or the figure."""
    parts = [figure.get(key) for key in ("vconcat", "hconcat", "concat")]
    views = [view for part in parts if isinstance(part, list) for view in part if isinstance(view, dict)]
    shared: dict[str, Any] = {key: figure[key] for key in ("description", "data") if key in figure}
    return [shared | view for view in views] or [figure]


def curves_of(run: RunResult) -> list[dict[str, Any]]:
    """The losses of a run by epoch, and the monitored metric if it is another."""
    monitor = str(run.config.get("monitor"))
    curves = read_curves(run.folder, {*LOSSES, monitor})
    epoch = run.metrics.get("best_epoch")
    charts = charts_of_run(curves, monitor, epoch if isinstance(epoch, int) else None)
    return [chart.to_dict(validate=False) for chart in charts]


def comparison_charts(comparison: Comparison) -> list[Figure]:
    """The charts of several runs: of a search its history; the metric over each key that varies; by epoch."""
    monitor, charts = comparison.monitor, list[Figure]()
    points = [_point(comparison, run) for run in comparison.runs]
    if len(points) < 2 or not any(point.is_scored for point in points):
        return []
    best_runs = list(map(comparison.name, comparison.best))
    best_run = next(iter(best_runs), "")
    if comparison.is_search:
        charts.append(history(points, monitor, best_run))
    for key in list(comparison.keys.values())[:MOST_KEYS]:
        known = [point for point in points if key in point.values and point.status in KINDS]
        if any(point.is_scored for point in known):
            charts.append(score_over(key, known, monitor, best_run))
    shown = [run for run in comparison.ranked if run.metrics["status"] in AS_PLANNED][:MOST_RUNS]
    read = ((comparison.name(run), read_curves(run.folder, [monitor], MOST_POINTS)) for run in shown)
    if curves := {name: curves[monitor] for name, curves in read if curves}:
        pruned = [comparison.name(run) for run in shown if not run.done]
        charts.append(curves_of_runs(monitor, curves, best_runs, pruned))
    return charts


def _point(comparison: Comparison, run: RunResult) -> RunPoint:
    """A run in charts; a pruned trial with the score of its rung if there is no other."""
    status = str(run.metrics["status"])
    scores = [run.metric(comparison.monitor), run.metric(f"rung/{run.metrics.get('rung')}")]
    known = [score for score in scores if math.isfinite(score)] if status in ("done", "pruned") else []
    config = run.config
    values = {short: plain_value(config[key]) for key, short in comparison.keys.items() if key in config}
    return RunPoint(comparison.name(run), status, known[0] if known else math.nan, values)
