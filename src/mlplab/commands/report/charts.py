"""Charts as a page draws them, and those of a comparison of runs."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlplab.commands.report.comparison import Comparison, compared
from mlplab.commands.report.curves import MOST_POINTS, read_curves
from mlplab.config.metrics import sign_of
from mlplab.figures.files import read_figures
from mlplab.figures.learning_curves import Curve, curves_of_runs, learning_curves
from mlplab.figures.scales import Value
from mlplab.figures.search import (
    KINDS,
    Trial,
    history,
    hyperparameter_importance,
    score_of_trials,
)
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

LOSSES = ("train/loss", "val/loss")

TITLES = {
    "predicted_vs_actual": "Predicted and actual values",
    "residuals": "Residuals",
    "confusion": "Confusion",
    "roc_and_precision_recall": "ROC, and precision and recall",
    "calibration": "Calibration",
    "fitted": "What the network has learned",
    "residuals_by_column": "Residuals by column",
    "error_by_part": "Where the errors are largest",
    "importance": "Importance of the columns",
    "partial_dependence": "Partial dependence",
}
"""Known figures in the order in which they are read, and titles of those without one. Others follow."""


@dataclass(frozen=True)
class Drawing:
    """A chart on a page: its title stands in the text, where it can be read and wraps.

    Attributes:
        specification: Vega-Lite, without title.
        label: what screen readers say.
    """

    title: str
    subtitle: str
    label: str
    specification: dict[str, Any]

    @property
    def is_wide(self) -> bool:
        """Whether the chart takes the full width: it is wide, or has several views."""
        width = self.specification.get("width")
        several = {"concat", "hconcat", "vconcat", "facet", "repeat"} & self.specification.keys()
        return bool(several) or (isinstance(width, int | float) and width > WIDE)


def drawing(name: str, specification: Mapping[str, Any]) -> Drawing:
    """A figure's specification as a drawing."""
    title, subtitle = _titles(specification.get("title"))
    title = title or TITLES.get(name, name.replace("_", " ").capitalize())
    description = specification.get("description")
    label = description if isinstance(description, str) else ". ".join(filter(None, (title, subtitle)))
    rest = {key: value for key, value in specification.items() if key not in ("title", "usermeta")}
    return Drawing(title, subtitle, label, rest)


def _titles(title: Any) -> tuple[str, str]:
    """The title and subtitle of a specification: text, lines of text, or an object with both."""
    if isinstance(title, Mapping):
        return _joined(title.get("text"), " "), _joined(title.get("subtitle"), "; ")
    return _joined(title, " "), ""


def _joined(text: Any, separator: str) -> str:
    """Text, or lines of it."""
    if isinstance(text, list):
        return separator.join(map(str, text))
    return text if isinstance(text, str) else ""


def figures_of(folder: Path) -> dict[str, Drawing]:
    """The figures in a folder by name, in the order in which they are read."""
    found = read_figures(folder)
    names = [name for name in dict.fromkeys((*TITLES, *found)) if name in found]
    return {name: drawing(name, found[name]) for name in names}


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


def search_charts(root: Path, trials: Sequence[RunResult], best: BestTrial | None) -> dict[str, Figure]:
    """The charts of a search by name; none if its trials are on several tables.

    Args:
        root: its folder.
        trials: all runs in it.
        best: its best trial; None if it has not ended.
    """
    comparisons = compared(root, trials)
    return comparison_charts(comparisons[0], best) if len(comparisons) == 1 else {}


def comparison_charts(comparison: Comparison, best: BestTrial | None = None) -> dict[str, Figure]:
    """The charts of runs by name: curves, the metric over each key that varies, and its spread.

    Those of a search have its history, and the importance of the hyperparameters. Its trials differ in all
    keys, so they have no spread.

    Args:
        best: the best trial of a search; None if it is unknown.
    """
    monitor, charts, shown = comparison.monitor, dict[str, Figure](), _shown(comparison)
    keys = _keys(comparison, shown, best.importance if best else {}) if len(shown) > 1 else {}
    if comparison.is_search:
        lowest_is_best = sign_of(monitor) > 0
        trials = [_trial(run, monitor, keys) for run in comparison.runs]
        if drawn := history(trials, monitor, lowest_is_best=lowest_is_best):
            charts["history"] = drawn
        if best and best.importance:
            short = dict(zip(best.importance, short_keys(list(best.importance)), strict=True))
            shares = {short[key]: share for key, share in best.importance.items()}
            count = best.trials.get("done", 0)
            charts["hyperparameter_importance"] = hyperparameter_importance(shares, monitor, count)
        for key in keys.values():
            known = [trial for trial in trials if key in trial.values and trial.status in KINDS]
            charts[f"score_over_{_file_name(key)}"] = score_of_trials(
                key, known, monitor, lowest_is_best=lowest_is_best
            )
    elif len(shown) > 1:
        points = _points(comparison, shown, keys)
        for key in keys.values():
            charts[f"score_over_{_file_name(key)}"] = score_over(key, list(points.values()), monitor)
        groups = _groups(comparison, points)
        if len(groups) < len(shown):
            charts["spread"] = spread(groups, monitor)
    if len(shown) > 1 and (curves := _curves(comparison, shown)):
        charts["curves"] = curves_of_runs(monitor, curves, [comparison.name(run) for run in comparison.best])
    return charts


def _trial(run: RunResult, monitor: str, keys: Mapping[str, str]) -> Trial:
    """A trial of a search; of a pruned one, with the score of its rung if there is no other."""
    status, number = str(run.metrics["status"]), trial_number(run.folder.name)
    assert number is not None
    scores = [run.metric(monitor), run.metric(f"rung/{run.metrics.get('rung')}")]
    known = [score for score in scores if math.isfinite(score)] if status in ("done", "pruned") else []
    values = {short: _plain(run.config[key]) for key, short in keys.items() if key in run.config}
    return Trial(number, status, known[0] if known else math.nan, values)


def _points(comparison: Comparison, runs: Sequence[RunResult], keys: Mapping[str, str]) -> dict[Path, Point]:
    """The runs as points of charts, by folder."""
    best = {run.folder for run in comparison.best}
    return {
        run.folder: Point(
            comparison.name(run),
            {short: _plain(run.config.get(key)) for key, short in keys.items()},
            run.metric(comparison.monitor),
            run.folder in best,
        )
        for run in runs
    }


def _groups(comparison: Comparison, points: Mapping[Path, Point]) -> dict[str, list[Point]]:
    """Points by configuration, best first."""
    groups: dict[str, list[Point]] = {
        comparison.labelled(group.key) or "all runs": [] for group in comparison.results.groups
    }
    for run in comparison.ranked:
        if run.folder in points:
            label = comparison.labelled(comparison.configuration(run)) or "all runs"
            groups[label].append(points[run.folder])
    return {label: group for label, group in groups.items() if group}


def _shown(comparison: Comparison) -> list[RunResult]:
    """The best finished runs that have a score."""
    scored = [run for run in comparison.ranked if run.done]
    return [run for run in scored if math.isfinite(run.metric(comparison.monitor))][:MOST_RUNS]


def _curves(comparison: Comparison, runs: Sequence[RunResult]) -> dict[str, Curve]:
    """The monitored metric of each run by epoch; of many runs, with fewer points each."""
    most = max(FEWEST_POINTS, min(MOST_POINTS, ALL_POINTS // len(runs)))
    found = {comparison.name(run): read_curves(run.folder, [comparison.monitor], most) for run in runs}
    return {name: curves[comparison.monitor] for name, curves in found.items() if curves}


def _keys(
    comparison: Comparison, runs: Sequence[RunResult], importance: Mapping[str, float]
) -> dict[str, str]:
    """The first keys that vary among these runs; those of a search by importance."""
    varying = [key for key in comparison.keys if len({run.values([key]) for run in runs}) > 1]
    varying.sort(key=lambda key: -importance.get(key, 0))
    return {key: comparison.keys[key] for key in varying[:MOST_KEYS]}


def _plain(value: Any) -> Value:
    """A number, or text as typed."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number else as_typed(value)


def _file_name(key: str) -> str:
    return re.sub(r"\W", "_", key)
