"""Draws the figures of a trained run: into its folder, and for TensorBoard."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import altair as alt
import numpy as np
from jaxtyping import Float, Float64
from lightning.pytorch.loggers import TensorBoardLogger

from mlplab.config.metrics import BASELINES, metrics_of
from mlplab.data.cache import DataCache, RunData
from mlplab.data.schema import Schema
from mlplab.data.splits.split import Rows
from mlplab.errors import CannotWrite, is_disk_error, reason_of
from mlplab.figures.classes import ClassPoints, calibration, confusion, roc_and_precision_recall
from mlplab.figures.files import write_figures
from mlplab.figures.fitted import Fitted, fitted, grid_over
from mlplab.figures.parts import ColumnValues, error_by_part
from mlplab.figures.points import Points, predicted_vs_actual, residuals, residuals_by_column
from mlplab.figures.style import Figure
from mlplab.runs.baselines.fitted import baselines
from mlplab.runs.predictions import SMALLEST_PROBABILITY, Predicted
from mlplab.runs.trained.run_stack import predict_run
from mlplab.runs.trained.trained_run import TrainedRun
from mlplab.training.loggers.files import build_loggers, close_loggers
from mlplab.training.loggers.tensorboard import log_images

MOST_ROWS = 20_000
"""Test rows that are drawn at most, chosen at random."""

MOST_TARGETS = 4
"""Targets that are drawn at most."""

BESIDE = ("boosting", "linear")
"""The baselines that may be drawn beside a network: the first that was fitted."""


log = logging.getLogger(__name__)


def draw_finished(folder: Path, cache: DataCache) -> None:
    """Draws the figures of a finished run, or logs a warning."""
    with warn_if_failing(folder):
        draw_run(folder, cache)


@contextmanager
def warn_if_failing(folder: Path) -> Iterator[None]:
    """Logs errors as warnings: what has been trained is not to fail for its figures.

    Raises:
        CannotWrite: if the disk is full.
    """
    try:
        yield
    except CannotWrite:
        raise
    except Exception as error:
        if is_disk_error(error):
            raise CannotWrite(error) from error
        log.warning("no figures of %s: %s", folder, reason_of(error))


def draw_run(folder: Path, cache: DataCache) -> None:
    """Draws the figures of a finished run.

    Args:
        cache: may have read the run's table already.

    Raises:
        UserError: if the table is not available, or has changed.
    """
    run = TrainedRun(folder)
    data = cache.data(run.config)
    data.check_unchanged(run.table, "train again", order=False)
    images = write_figures(folder, run_charts(run, data))
    loggers = build_loggers(run.config, str(folder), TensorBoardLogger)  # the others have been closed
    log_images(loggers, images)
    close_loggers(loggers, success=True)


class _Tested(NamedTuple):
    """Test rows, and predictions for them.

    Attributes:
        rows: their numbers in the table, from 0.
        total: the number of all test rows.
        columns: their features.
        weight: the weight of each row.
        beside: the predictions of a baseline; None if none was fitted.
        name: the name of the baseline.
    """

    rows: Rows
    total: int
    columns: Sequence[ColumnValues]
    weight: Float64[np.ndarray, " row"]
    y: Float64[np.ndarray, "row target"]
    predicted: Predicted
    beside: Predicted | None
    name: str


def run_charts(run: TrainedRun, data: RunData) -> dict[str, Figure]:
    """The figures of a run, by name."""
    table, rows = data.table, data.split.test
    weight = np.ones(len(table.x)) if table.weight is None else table.weight.astype(np.float64)
    rows = rows[weight[rows] > 0]
    total = len(rows)
    if total > MOST_ROWS:
        rows = np.sort(np.random.default_rng(0).choice(rows, MOST_ROWS, replace=False))
    x, y = table.x[rows], table.y[rows]
    predicted = predict_run(run, x)
    models = baselines(data, run.config.baselines, float(run.metrics["seconds"]), run.config.threads)
    beside = next((name for name in BESIDE if name in models.models), None)
    tested = _Tested(
        rows,
        total,
        list(column_values(run.schema, x)),
        weight[rows],
        y,
        predicted,
        models.predict(beside, table.x, rows) if beside else None,
        BASELINES[metrics_of(run.schema.classes)][beside] if beside else "",
    )
    charts = _of_classes(run.schema, tested) if run.schema.classes else _of_numbers(run.schema, tested)
    charts["fitted"] = _fitted(run, x, y)
    return {name: chart for name, chart in charts.items() if chart is not None}


def _of_classes(schema: Schema, tested: _Tested) -> dict[str, Figure | None]:
    actual = tested.y[:, 0].astype(np.int64)
    points = ClassPoints(
        schema.targets[0],
        schema.classes,
        tested.total,
        tested.weight,
        actual,
        tested.predicted,
        tested.beside,
        tested.name,
    )
    probability = tested.predicted[np.arange(len(actual)), actual].clip(SMALLEST_PROBABILITY)
    return {
        "confusion": confusion(points),
        "roc_and_precision_recall": roc_and_precision_recall(points),
        "calibration": calibration(points),
        "error_by_part": error_by_part(
            tested.columns, -np.log(probability), "mean log loss", tested.weight, tested.total
        ),
    }


def _of_numbers(schema: Schema, tested: _Tested) -> dict[str, Figure | None]:
    each = [
        Points(
            target,
            tested.rows + 1,
            tested.total,
            tested.weight,
            tested.y[:, k],
            tested.predicted[:, k],
            None if tested.beside is None else tested.beside[:, k],
            tested.name,
        )
        for k, target in enumerate(schema.targets[:MOST_TARGETS])
    ]
    one = len(schema.targets) == 1
    errors = np.abs(each[0].residuals) if one else _relative_errors(tested.y, tested.predicted)
    unit = (
        f"mean absolute error of {schema.targets[0]}" if one else "mean absolute error in SDs of the targets"
    )
    return {
        "predicted_vs_actual": _together([predicted_vs_actual(points) for points in each]),
        "residuals": _together([residuals(points) for points in each]),
        "residuals_by_column": residuals_by_column(each[0], tested.columns) if one else None,
        "error_by_part": error_by_part(tested.columns, errors, unit, tested.weight, tested.total),
    }


def column_values(schema: Schema, x: Float[np.ndarray, "row feature"]) -> Iterator[ColumnValues]:
    """The features of rows in the columns' own units; of dates, only the year."""
    feature, offsets = 0, schema.offsets
    for column in schema.inputs:
        for part in column.parts or ("",):
            values = x[:, feature].astype(np.float64) + offsets[feature]
            categories = ("false", "true") if column.kind == "boolean" else column.categories
            if part in ("", "year"):
                yield ColumnValues(column.name, values, categories)
            feature += 1


def _relative_errors(
    y: Float64[np.ndarray, "row target"], predicted: Float64[np.ndarray, "row target"]
) -> Float64[np.ndarray, " row"]:
    """The mean absolute error over targets, each divided by its standard deviation."""
    scale = np.where((sd := y.std(0)) > 0, sd, 1)
    errors: Float64[np.ndarray, " row"] = (np.abs(y - predicted) / scale).mean(1)
    return errors


def _fitted(
    run: TrainedRun, x: Float[np.ndarray, "row feature"], y: Float64[np.ndarray, "row target"]
) -> Figure | None:
    """What the network has learned of one or two columns of numbers; None for other tables."""
    schema = run.schema
    numeric = all(column.kind == "numeric" for column in schema.inputs)
    if not numeric or len(schema.inputs) > 2 or np.isnan(x).all(0).any():
        return None
    grid = grid_over(x.astype(np.float64))
    predicted = predict_run(run, grid.astype(x.dtype))
    offsets = np.array(schema.offsets)
    places, values = grid + offsets, x + offsets
    if schema.classes:
        target = schema.targets[0]
        return fitted(Fitted(schema.names, target, schema.classes, places, predicted, values, y[:, 0]))
    targets = enumerate(schema.targets[:MOST_TARGETS])
    return _together(
        [
            fitted(Fitted(schema.names, target, (), places, predicted[:, [k]], values, y[:, k]))
            for k, target in targets
        ]
    )


def _together(charts: list[Any]) -> Figure:
    """Charts of several targets as one."""
    if len(charts) == 1:
        return charts[0]
    description = f"one for each of {len(charts)} targets: {charts[0].description}"
    return alt.concat(*charts, columns=2, description=description).resolve_scale(color="shared")
