"""The rows that trained runs are evaluated on: each run's features, targets and weights."""

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
import torch
from jaxtyping import Float, Float64

from mlplab.console import progress_lines
from mlplab.data.batches.loader import EVALUATION_BATCH_ROWS, EVALUATION_MULTIPLE, Loader
from mlplab.data.cells.parse import cells_of, is_text, parse_str
from mlplab.data.class_labels import parse_target
from mlplab.data.frames import FRAME
from mlplab.data.io.source import Source, opened
from mlplab.data.leaks.row_keys import TableValues
from mlplab.data.load_table import csv_format, table_spec
from mlplab.data.new_rows import check_columns
from mlplab.data.schema import Schema
from mlplab.data.splits.split import Rows
from mlplab.data.table import BLOCK
from mlplab.errors import Fault, UserError, listed, refusal, shortened
from mlplab.runs.trained.ensemble import Ensemble
from mlplab.runs.trained.trained_run import TrainedRun
from mlplab.training.scoring.losses import build_loss
from mlplab.training.scoring.mean_predictions import Predicted
from mlplab.training.scoring.scores import Evaluation, Scores, all_scores

NewRows = str | pl.DataFrame  # the path of a file, or a frame

# Rows that took no part in training or validation; all, of which some did; rows of which nobody can tell.
Part = Literal["test", "all", "unchecked"]

IF_ANY_WERE = "if any were in training, these scores are too good"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EvaluationRows:
    """Rows that a run is evaluated on.

    Attributes:
        source: what they are, in words.
        row_numbers: their numbers in the table or file.
        x: features by the schema.
        schema: that of a run, which may differ from those of others in offsets.
        y: targets in their own units, or numbers of classes.
    """

    source: str
    row_numbers: Rows
    x: Float[np.ndarray, "row feature"]
    schema: Schema
    y: Float64[np.ndarray, "row target"]
    weight: Float64[np.ndarray, " row"] | None

    def has_same_rows(self, other: "EvaluationRows") -> bool:
        """Whether the same rows are evaluated."""
        return np.array_equal(self.row_numbers, other.row_numbers) and np.array_equal(self.y, other.y)

    def scores(
        self, model: Ensemble | TrainedRun, predicted: Predicted, known: Scores | None = None
    ) -> Scores:
        """The scores of a model's predictions, and of its intervals, if it has any.

        `known` are the metrics of the predictions, if they have been computed.
        """
        return all_scores(model.uncertainty, predicted, self.y, self.weight, model.threshold, known)


def run_scores(run: TrainedRun, rows: EvaluationRows) -> Scores:
    """Loss and metrics, computed as in training; of an ensemble run, the metrics of its mean prediction."""
    run = run.with_offsets(rows.schema)
    if len(run.weights) > 1 or run.quantiles:
        ensemble = Ensemble([run])
        return rows.scores(ensemble, ensemble.predict_features(rows.x)[0])
    x, y, every = torch.from_numpy(rows.x), torch.from_numpy(rows.y), torch.arange(len(rows.y))
    weight = None if rows.weight is None else torch.from_numpy(rows.weight)[:, None]
    x = run.network.preprocessing.impute(x.unsqueeze(0))[0]
    loader = Loader(x, y, [every], EVALUATION_BATCH_ROWS, multiple=EVALUATION_MULTIPLE, row_weight=weight)
    evaluation = Evaluation(build_loss([run.config.loss]), [every], run.schema, [run.threshold])
    values, predicted = evaluation.score(run.network, loader)
    return rows.scores(run, predicted[0, : len(y)], {name: value.item() for name, value in values.items()})


def rows_of(ensemble: Ensemble, data: NewRows, *, include: bool) -> tuple[EvaluationRows, Part]:
    """The rows of a file or a frame, and what they are called.

    Rows that were in training or validation of any run are left out unless `include`.
    """
    first, schema = ensemble.runs[0], ensemble.schema
    with opened_rows(data, first) as source:
        path = source.where
        if absent := [name for name in schema.targets if name not in source.schema]:
            what, found = f"has no target column '{absent[0]}'", f"the columns {listed(source.names)}"
            raise UserError(Fault(what, path, found, remedy="add it, or only predict: mlplab predict"))
        check_columns(schema, list(source.schema), path)
        frames = list[pl.DataFrame]()
        with progress_lines(log.info, lambda: f"reading {path}: {sum(map(len, frames)):,} rows"):
            frames += source.blocks(BLOCK)
        if not any(map(len, frames)):
            raise refusal("has no rows", path, "give it rows of data")
        frame = pl.concat(frames)
        with progress_lines(log.info, lambda: f"{path}: preparing {frame.height:,} rows"):
            y, weight = _targets_and_weight(first, frame, source)
            transformer = ensemble.transformer(path, decimal_comma=source.decimal_comma)
            x = transformer.features(frame)
            transformer.warn()
            is_usable = np.isfinite(y).all(1) if weight is None else np.isfinite(y).all(1) & (weight > 0)
            if not len(rows := np.flatnonzero(is_usable)):
                what = "has no row with a target" + (" and a weight above 0" if schema.weight else "")
                raise refusal(what, path, "give it such rows")
            values = TableValues(x, y, schema.offsets)
            rows, part = _not_seen(ensemble.runs, values, rows, path, include=include)
    weight = None if weight is None else weight[rows]
    return EvaluationRows(path, rows, x[rows], schema, y[rows], weight), part


def opened_rows(data: NewRows, run: TrainedRun) -> AbstractContextManager[Source]:
    """Opens a file or a frame of new rows for a run."""
    if isinstance(data, pl.DataFrame):
        return nullcontext(Source.of_frame(FRAME, data))
    return opened(data, csv_format(run.config.data))


def _targets_and_weight(
    run: TrainedRun, frame: pl.DataFrame, source: Source
) -> tuple[Float64[np.ndarray, "row target"], Float64[np.ndarray, " row"] | None]:
    """The targets, NaN where they are missing (if that is allowed), and the row weights.

    Raises:
        UserError: if cells are missing, cannot be read, or are of classes that did not occur in training.
    """
    schema = run.schema
    weights = [schema.weight] if schema.weight and schema.weight in frame.columns else []
    if schema.weight and not weights:
        log.warning("%s: has no weight column '%s': all rows get equal weight", source.where, schema.weight)
    optional = schema.targets if table_spec(run.config).drop_missing_targets else ()
    columns = []
    for name in (*schema.targets, *weights):
        cells, is_class = cells_of(frame, name), bool(schema.classes) and name in schema.targets
        if not (cells.dtype.is_numeric() or is_text(cells.dtype) or cells.dtype == pl.Boolean):
            where = f"{source.where}, column '{name}'"
            raise refusal(f"has type {cells.dtype}", where, "give it the type that it had in training")
        values = parse_target(schema, name, cells, decimal_comma=source.decimal_comma)
        missing = parse_str(cells, schema.na_values_of(name)).is_null()
        bad = ~values.is_finite().fill_null(value=False) & ~(missing & (name in optional))
        if len(rows := bad.arg_true()):
            what, found, remedy = "a value is missing", "", "fill it in, or remove such rows"
            if not missing[rows[0]]:
                what, found = "a value is not as in training", shortened(str(cells[rows[0]]))
                remedy = "correct it, or remove such rows"
            what += f"; {len(rows):,} such cells in this column" * (len(rows) > 1)
            where = source.location(rows[0], f"{'weight' if name in weights else 'target'} column '{name}'")
            expected = f"one of {listed(map(shortened, schema.classes), 5)}" if is_class else "a number"
            raise UserError(Fault(what, where, found, expected, remedy))
        columns.append(values.to_numpy(writable=True))
    return np.column_stack(columns[: len(schema.targets)]), columns[-1] if weights else None


def _not_seen(
    runs: Sequence[TrainedRun], values: TableValues, rows: Rows, path: str, *, include: bool
) -> tuple[Rows, Part]:
    """The rows that are evaluated, and what they are called; logs how many were in training or validation.

    Rows that equal one of training are left out if they are more than by chance. If many new rows do so by
    chance, none is left out: the others would be odd ones. For runs of 1.0, which did not count how many do,
    the rows show it themselves.
    """
    if any(run.seen is None for run in runs):
        what = "%s: which rows were in training is unknown, as the run was saved without seen=true; %s"
        log.warning(what, path, IF_ANY_WERE)
        return rows, "unchecked"
    distinct = {seen.digest: seen for run in runs for seen in run.seen or []}  # all seeds have the same
    recognised = [(seen, seen.recognised(values, rows)) for seen in distinct.values()]
    were_there = [(seen, some) for seen, some in recognised if not seen.is_chance(some)]
    was_seen = np.any([some for _, some in were_there or recognised], axis=0)
    count, total = int(was_seen.sum()), len(rows)
    shown = f"{path}: {count:,} of {total:,} rows"
    chance = max(seen.chance(values, rows) for seen, _ in were_there or recognised)
    by_chance = "%s equal a row of training, and about %.0f %% of new rows do by chance; none is left out"
    if not were_there:
        if count:
            log.info(by_chance, shown, 100 * chance)
        return rows, "test"
    if include:
        log.warning("%s were in training or validation: these scores are not test scores", shown)
        return rows, "all"
    if chance > 0.05:
        what = f"{by_chance}, or only unusual rows would be scored; {IF_ANY_WERE}"
        log.warning(what, shown, 100 * chance)
        return rows, "unchecked"
    if count == total:
        what = f"all {total:,} rows were in training or validation; no rows are left to test on"
        remedy = "remove data.path= to use the run's own test rows, or keep all rows: training_rows=include"
        raise refusal(what, path, remedy)
    what = "%s were in training or validation and are left out (mlplab evaluate with %s keeps them)"
    log.warning(what, shown, "training_rows=include")
    return rows[~was_seen], "test"
