"""Charts of a page, as specifications of Vega-Lite, and those of a comparison of runs."""

import math
from pathlib import Path

from mlplab.commands.report.comparison import Comparison
from mlplab.figures.files import read_figures
from mlplab.figures.learning_curves import LOSSES, charts_of_run, curves_of_runs
from mlplab.figures.runs import RunPoint, score_over
from mlplab.figures.style import Figure
from mlplab.files import Plain
from mlplab.runs.compare.run_result import RunResult, plain_value
from mlplab.runs.trained.run_files import read_curves
from mlplab.training.outcome import AS_PLANNED

MOST_RUNS = 200
"""Runs whose curves are drawn at most: the best by the validation metric."""

MOST_KEYS = 8
"""Keys that vary of which there are charts at most."""

MOST_POINTS = 100
"""Points of a curve that is one of many."""


def figures_of(folder: Path) -> dict[str, list[Plain]]:
    """The figures in a folder by name, view by view."""
    return {
        name: [{"title": name.replace("_", " ").capitalize()} | view for view in _views(figure)]
        for name, figure in read_figures(folder).items()
    }


def _views(figure: Plain) -> list[Plain]:
    """The views that a figure puts together, which would be too wide for phones; or the figure."""
    parts = [figure.get(key) for key in ("vconcat", "hconcat", "concat")]
    views = [view for part in parts if isinstance(part, list) for view in part if isinstance(view, dict)]
    shared: Plain = {key: figure[key] for key in ("description", "data") if key in figure}
    return [shared | view for view in views] or [figure]


def curves_of(run: RunResult) -> list[Plain]:
    """The losses of a run by epoch, and the monitored metric if it is another."""
    monitor = str(run.config.get("monitor"))
    curves = read_curves(run.folder, {*LOSSES, monitor})
    epoch = run.metrics.get("best_epoch")
    charts = charts_of_run(curves, monitor, epoch if isinstance(epoch, int) else None)
    return [chart.to_dict(validate=False) for chart in charts]


def comparison_charts(comparison: Comparison) -> list[Figure]:
    """The charts of several runs: the metric over each key that varies, and by epoch."""
    monitor, best_runs = comparison.monitor, list(map(comparison.name, comparison.best))
    done = [run for run in comparison.runs if run.done and math.isfinite(run.metric(monitor))]
    if len(comparison.runs) < 2 or not done:
        return []
    charts = list[Figure]()
    for key, short in list(comparison.keys.items())[:MOST_KEYS]:
        points = [
            RunPoint(comparison.name(run), plain_value(run.config[key]), run.metric(monitor))
            for run in done
            if key in run.config
        ]
        charts += [score_over(short, points, monitor, best_runs[0])] if points else []
    shown = [run for run in comparison.ranked if run.metrics["status"] in AS_PLANNED][:MOST_RUNS]
    read = ((comparison.name(run), read_curves(run.folder, [monitor], MOST_POINTS)) for run in shown)
    if curves := {name: curves[monitor] for name, curves in read if curves}:
        pruned = [comparison.name(run) for run in shown if not run.done]
        charts.append(curves_of_runs(monitor, curves, best_runs, pruned))
    return charts
