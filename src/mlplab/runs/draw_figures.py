"""Draws the figures of a trained run: into its folder, and for TensorBoard."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import altair as alt
import numpy as np
from lightning.pytorch.loggers import TensorBoardLogger

from mlplab.config.metrics import BASELINES, metrics_of
from mlplab.conformal.intervals import Y
from mlplab.data.cache import RunData
from mlplab.data.splits.split import sample_rows
from mlplab.figures import LEARNING_CURVES, Curve
from mlplab.figures.calibration import Kind, calibration, coverage
from mlplab.figures.classification import confusion, roc_and_precision_recall
from mlplab.figures.files import write_figures
from mlplab.figures.learning_curves import LOSSES, charts_of_run
from mlplab.figures.regression import predicted_vs_actual, residuals
from mlplab.figures.scored_rows import THIS, ScoredRows
from mlplab.figures.style import Figure
from mlplab.runs.baselines.fit_baselines import fit_baselines
from mlplab.runs.loggers.files import build_loggers, close_loggers
from mlplab.runs.loggers.read_curves import read_curves
from mlplab.runs.loggers.tensorboard import log_images
from mlplab.runs.trained.ensemble import Ensemble
from mlplab.runs.trained.trained_run import TrainedRun
from mlplab.training.scoring.mean_predictions import Predicted

MOST_ROWS = 20_000
"""Test rows that are drawn at most, chosen at random."""

LEVELS = [round(step / 20, 2) for step in range(1, 20)]
"""Levels of intervals and sets whose coverage is drawn."""

MOST_TARGETS = 4
"""Targets that are drawn at most."""

BESIDE = ("boosting", "linear")
"""The baselines that may be drawn beside a network: the one with the better test score."""


def draw(run: TrainedRun, data: RunData) -> None:
    """Draws the figures of a finished run."""
    curves = read_curves(run.folder, {*LOSSES, run.config.monitor})
    images = write_figures(run.folder, run_charts(run, data, curves))
    loggers = build_loggers(run.config, run.folder, TensorBoardLogger)  # the others have been closed
    log_images(loggers, images)
    close_loggers(loggers, success=True)


def run_charts(run: TrainedRun, data: RunData, curves: Mapping[str, Curve]) -> dict[str, Figure]:
    """The figures of a run that fit its task and columns, by name."""
    table, schema, rows = data.table, run.schema, data.split.test
    weight = np.ones(len(table.x)) if table.weight is None else table.weight.astype(np.float64)
    rows = rows[weight[rows] > 0]
    total, rows = len(rows), sample_rows(rows, MOST_ROWS)
    x, y = table.x[rows], table.y[rows]
    ensemble = Ensemble([run])
    outputs, _ = ensemble.predict_features(x)
    predicted = ensemble.points(outputs)
    predictions = {THIS: predicted}
    models = fit_baselines(data, run.config)
    names = metrics_of(schema.classes, run.quantiles)
    if known := [name for name in BESIDE if name in models.models]:
        beside = min(known, key=lambda name: models.test_scores(data)[name][names[0]])
        title = BASELINES[names][beside]
        predictions[title] = ensemble.points(models.predict(beside, table.x, rows))
    actual = y.astype(np.int64) if schema.classes else y
    of_rows = partial(ScoredRows, rows=rows + 1, total=total, weight=weight[rows], classes=schema.classes)
    scored = list[ScoredRows]()
    for k, target in enumerate(schema.targets[:MOST_TARGETS]):
        of_target = {model: each if schema.classes else each[:, k] for model, each in predictions.items()}
        of_rows_and_target = partial(of_rows, target=target, actual=actual[:, k], threshold=run.threshold)
        scored.append(of_rows_and_target(predictions=of_target))
    first = scored[0]
    charts: dict[str, Figure | None]
    if schema.classes:
        charts = {
            "confusion": confusion(first),
            "roc_and_precision_recall": roc_and_precision_recall(first),
            "calibration": calibration(first),
        }
    else:
        charts = {
            "predicted_vs_actual": _together(list(map(predicted_vs_actual, scored))),
            "residuals": _together(list(map(residuals, scored))),
        }
    charts[LEARNING_CURVES] = _learning_curves(run, curves)
    charts["coverage"] = _coverage(ensemble, first, outputs, y)
    return {name: chart for name, chart in charts.items() if chart is not None}


def _coverage(ensemble: Ensemble, scored: ScoredRows, outputs: Predicted, y: Y) -> Figure | None:
    """How often intervals, sets or quantiles are right, by level; means over targets."""
    uncertainty = ensemble.uncertainty
    if ensemble.quantiles:
        below = np.average(y <= outputs, 0, scored.weight)
        return coverage("quantiles", scored, ensemble.quantiles, below.tolist())
    levels = [level for level in LEVELS if level <= uncertainty.highest_level]
    covered = (uncertainty.scores_by_row(outputs, y, level)["coverage"] for level in levels)
    shares = [float(np.average(rows, weights=scored.weight)) for rows in covered]
    kind: Kind = "sets" if scored.classes else "intervals"
    return coverage(kind, scored, levels, shares) if levels else None


def _learning_curves(run: TrainedRun, curves: Mapping[str, Curve]) -> Figure | None:
    """The losses and the monitored metric by epoch; None if TensorBoard's files do not have them."""
    monitor = run.config.monitor
    charts = charts_of_run(curves, monitor, run.metrics.get("best_epoch"))
    if not charts:
        return None
    together = alt.vconcat(*charts, description=f"loss and {monitor} by epoch")
    return together.resolve_scale(color="independent", strokeDash="independent")


def _together(charts: list[Any]) -> Figure:
    """Charts of several targets as one."""
    if len(charts) == 1:
        return charts[0]
    description = f"one for each of {len(charts)} targets: {charts[0].description}"
    return alt.vconcat(*charts, description=description).resolve_scale(color="shared")
