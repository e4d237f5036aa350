"""Draws the figures of a trained run."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import altair as alt
import numpy as np

from mlplab.config.metrics import BASELINES, metrics_of
from mlplab.conformal.intervals import Y
from mlplab.data.cache import RunData
from mlplab.data.splits.split import sample_rows
from mlplab.figures import LEARNING_CURVES, Curve
from mlplab.figures.classification import calibration, confusion, roc_and_precision_recall, threshold
from mlplab.figures.predictions import THIS, ScoredRows, coverage, predicted_vs_actual, residuals
from mlplab.figures.runs import LOSSES, charts_of_run
from mlplab.figures.style import Figure
from mlplab.figures.write_figures import write_figures
from mlplab.runs.baselines.fit_baselines import fit_baselines
from mlplab.runs.trained.ensemble import Ensemble
from mlplab.runs.trained.run_files import read_curves
from mlplab.runs.trained.trained_run import TrainedRun
from mlplab.training.scoring.mean_predictions import Predicted

MOST_ROWS = 20_000  # test rows that are drawn at most, chosen at random

# Levels of intervals and sets whose coverage is drawn.
LEVELS = [round(step / 20, 2) for step in range(1, 20)]


def draw(run: TrainedRun, data: RunData) -> None:
    """Draws the figures of a finished run."""
    curves = read_curves(run.folder, {*LOSSES, run.config.monitor})
    write_figures(run.folder, run_charts(run, data, curves))


def run_charts(run: TrainedRun, data: RunData, curves: Mapping[str, Curve]) -> dict[str, Figure]:
    """The figures of a run that fit its task and columns, by name."""
    table, schema, rows = data.table, run.schema, data.split.test
    weight = np.ones(len(table.x)) if table.weight is None else table.weight.astype(np.float64)
    rows = rows[weight[rows] > 0]
    total, rows = len(rows), sample_rows(rows, MOST_ROWS)
    x, y = table.x[rows], table.y[rows]
    ensemble = Ensemble([run])
    outputs, _ = ensemble.predict_features(x)
    predictions = {THIS: ensemble.points(outputs)}
    models = fit_baselines(data, run.config)
    names = metrics_of(schema.classes, run.quantiles)
    # Beside the network, the better of two baselines.
    if known := [name for name in ("boosting", "linear") if name in models.models]:
        beside = min(known, key=lambda name: models.test_scores(data)[name][names[0]])
        predictions[BASELINES[names][beside]] = ensemble.points(models.predict(beside, table.x, rows))
    actual = y.astype(np.int64) if schema.classes else y
    numbers, chosen, scored = rows + 1, (schema.classes, run.threshold), list[ScoredRows]()
    for k, target in enumerate(schema.targets[:4]):
        of_target = {model: each if schema.classes else each[:, k] for model, each in predictions.items()}
        scored.append(ScoredRows(target, numbers, total, weight[rows], actual[:, k], of_target, *chosen))
    of_probabilities = confusion, roc_and_precision_recall, threshold, calibration
    drawn = of_probabilities if schema.classes else (predicted_vs_actual, residuals)
    charts: dict[str, Figure | None] = {kind.__name__: _together([*map(kind, scored)]) for kind in drawn}
    by_epoch = charts_of_run(curves, run.config.monitor, run.metrics.get("best_epoch"))
    charts[LEARNING_CURVES] = _together(by_epoch, "independent")
    charts["coverage"] = _coverage(ensemble, scored[0], outputs, y)
    return {name: chart for name, chart in charts.items() if chart is not None}


def _coverage(ensemble: Ensemble, scored: ScoredRows, outputs: Predicted, y: Y) -> Figure | None:
    """How often intervals, sets or quantiles are right, by level; means over targets."""
    uncertainty = ensemble.uncertainty
    if ensemble.quantiles:
        below = np.average(y <= outputs, 0, scored.weight)
        return coverage("quantiles", "are above the target", scored, ensemble.quantiles, below.tolist())
    levels = [level for level in LEVELS if level <= uncertainty.highest_level]
    covered = (uncertainty.scores_by_row(outputs, y, level)["coverage"] for level in levels)
    shares = [float(np.average(rows, weights=scored.weight)) for rows in covered]
    words = ("sets", "contain the class") if scored.classes else ("intervals", "contain the target")
    return coverage(*words, scored, levels, shares) if levels else None


def _together(charts: Sequence[Any], scales: Literal["shared", "independent"] = "shared") -> Figure | None:
    if len(charts) < 2:
        return next(iter(charts), None)
    description = "; ".join(chart.description for chart in charts)
    return alt.vconcat(*charts, description=description).resolve_scale(color=scales, strokeDash=scales)
