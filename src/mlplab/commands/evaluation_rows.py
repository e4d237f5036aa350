"""The rows that trained runs are evaluated on: targets, weights, and each run's features."""

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from jaxtyping import Bool, Float, Float64

from mlplab.console import progress_lines
from mlplab.data.io.discovery import opened
from mlplab.data.io.progress import row_progress
from mlplab.data.io.source import Source
from mlplab.data.leaks.row_keys import Values
from mlplab.data.leaks.seen_rows import SeenRows
from mlplab.data.load_table import csv_options, spec_of
from mlplab.data.new_data import FrameTransformer, check_columns
from mlplab.data.parse import cells_of, parse_str
from mlplab.data.schema import Column, Schema
from mlplab.data.splits.split import Rows
from mlplab.data.table import BLOCK
from mlplab.data.task import class_numbers
from mlplab.errors import Fault, UserError, listed, shortened
from mlplab.runs.predictions import most_likely
from mlplab.runs.scores import Scores, scores
from mlplab.runs.trained.trained_run import TrainedRun

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EvaluationData:
    """A table, and which of its rows are evaluated.

    Attributes:
        x: features by a run's schema.
        y: targets in their own units, or numbers of classes.
        weight: the weight of each row; None: all equal.
    """

    source: str
    x: Float[np.ndarray, "row feature"]
    y: Float64[np.ndarray, "row target"]
    weight: Float64[np.ndarray, " row"] | None
    rows: Rows

    def has_same_rows(self, other: "EvaluationData") -> bool:
        """Whether the same rows are evaluated."""
        return np.array_equal(self.rows, other.rows) and np.array_equal(
            self.y[self.rows], other.y[other.rows]
        )

    def scores(self, predicted: Float64[np.ndarray, "evaluated output"], schema: Schema) -> Scores:
        """The scores of predictions for the evaluated rows: targets, or probabilities of classes."""
        weight = None if self.weight is None else self.weight[self.rows]
        return scores(predicted, self.y[self.rows], weight, len(schema.classes), schema.targets)

    def confusion(
        self, probabilities: Float64[np.ndarray, "evaluated class"]
    ) -> Float64[np.ndarray, "true predicted"]:
        """The number (or weight) of the evaluated rows by true and predicted class."""
        classes = probabilities.shape[1]
        pairs = self.y[self.rows, 0].astype(np.int64) * classes + most_likely(probabilities)
        weight = None if self.weight is None else self.weight[self.rows]
        return np.bincount(pairs, weight, classes**2).astype(np.float64).reshape(classes, classes)


def rows_of_file(
    members: Sequence[TrainedRun], path: str, *, include: bool
) -> tuple[list[EvaluationData], bool]:
    """The rows of a file as each run reads them, and whether some of them were in training or validation.

    Args:
        include: whether rows that were in training or validation are evaluated, too.
    """
    first = members[0]
    schema = first.schema
    with opened(path, csv_options(first.config.data)) as source:
        if absent := [name for name in schema.targets if name not in source.schema]:
            raise UserError(
                Fault(
                    f"has no target column '{absent[0]}' to compare predictions with",
                    path,
                    f"the columns {listed(source.names)}",
                    remedy="add that column, or only predict: scripts/predict.py",
                )
            )
        check_columns(schema, list(source.schema), path)
        frame, comma = _read(source), source.decimal_comma
        with _progress(path, frame):
            y, weight = _targets_and_weight(first, frame, source)
    rows = np.flatnonzero(np.isfinite(y).all(1))
    transformers: list[FrameTransformer] = []
    tables: list[EvaluationData] = []
    data = []
    with _progress(path, frame):
        for run in members:  # runs trained on one table share its features
            same = (
                table
                for each, table in zip(transformers, tables, strict=True)
                if each.serves(run.schema, run.dtype)
            )
            if (table := next(same, None)) is None:
                transformer = FrameTransformer(run.schema, path, run.dtype, decimal_comma=comma)
                table = EvaluationData(path, transformer.features(frame), y, weight, rows)
                transformers.append(transformer)
                tables.append(table)
            data.append(table)
        for transformer in transformers:
            transformer.warn()
        seen = _seen_rows(members, data)
    rows = _without_seen_rows(rows, seen, path, include=include)
    if weight is not None:
        _check_weights(weight[rows], f"{path}, weight column '{schema.weight}'")
    return [replace(each, rows=rows) for each in data], include and bool(seen.any())


def _read(source: Source) -> pl.DataFrame:
    """All rows of a file, of which there must be one at least."""
    frames = list[pl.DataFrame]()
    with row_progress(f"reading {source.where}") as count:
        for frame in source.blocks(BLOCK):
            frames.append(frame)
            count(sum(map(len, frames)))
    if not any(map(len, frames)):
        raise UserError(Fault("has no rows", source.where, remedy="give it rows of data"))
    return pl.concat(frames)


def _progress(path: str, frame: pl.DataFrame) -> AbstractContextManager[None]:
    """Lines in the log while rows are prepared."""
    return progress_lines(log.info, lambda: f"{path}: preparing {frame.height:,} rows")


def _targets_and_weight(
    run: TrainedRun, frame: pl.DataFrame, source: Source
) -> tuple[Float64[np.ndarray, "row target"], Float64[np.ndarray, " row"] | None]:
    """The targets, NaN where they are missing (if that is allowed), and the row weights."""
    schema, may_be_missing = run.schema, spec_of(run.config.data).drop_missing_targets
    weighted = schema.weight in frame.columns
    if schema.weight and not weighted:
        log.warning("%s: has no weight column '%s': all rows get equal weight", source.where, schema.weight)
    weights = [schema.weight] if weighted and schema.weight else []
    numbers = weights if schema.classes else [*schema.targets, *weights]
    columns = Schema(
        tuple(Column(name, "numeric", missing=True) for name in numbers), (), na_values=schema.na_values
    )
    transformer = FrameTransformer(
        columns,
        source.where,
        np.float64,
        decimal_comma=source.decimal_comma,
        location=source.location,
    )
    values = transformer.features(frame)
    if schema.classes:
        numbers_of_classes = _class_numbers(schema, frame, source)[:, None]
        values = np.hstack([numbers_of_classes, values]) if weights else numbers_of_classes
    names = [*schema.targets, *weights]
    for place in range(len(schema.targets) if may_be_missing else 0, len(names)):
        if len(missing := np.flatnonzero(np.isnan(values[:, place]))):
            more = f"; {len(missing):,} such cells in this column" if len(missing) > 1 else ""
            role = "target" if place < len(schema.targets) else "weight"
            where = source.location(int(missing[0]), f"{role} column '{names[place]}'")
            remedy = "fill it in, or remove such rows"
            raise UserError(Fault(f"a value is missing{more}", where, remedy=remedy))
    y = values[:, : len(schema.targets)]
    if not np.isfinite(y).all(1).any():
        raise UserError(Fault("has no row with a target", source.where, remedy="give it rows with targets"))
    return y, values[:, -1] if weighted else None


def _class_numbers(schema: Schema, frame: pl.DataFrame, source: Source) -> Float64[np.ndarray, " row"]:
    """The number of each row's class; NaN if it is missing.

    Raises:
        UserError: if classes did not occur in training.
    """
    name, cells = schema.targets[0], cells_of(frame, schema.targets[0])
    numbers = class_numbers(
        cells, schema.classes, schema.class_kind, schema.na_values, decimal_comma=source.decimal_comma
    )
    texts = parse_str(cells.filter(numbers.is_null()), schema.na_values).drop_nulls()
    if len(texts):
        counts = texts.value_counts(sort=True, name="rows").rows()
        found = listed((f"{shortened(text)} in {rows:,} rows" for text, rows in counts), 5)
        expected = f"one of {listed(map(shortened, schema.classes), 5)}"
        remedy = "remove such rows, or train again with rows of these classes"
        where = f"{source.where}, target column '{name}'"
        raise UserError(Fault("contains classes that were not in training", where, found, expected, remedy))
    return numbers.to_numpy(writable=True)


def _seen_rows(
    members: Sequence[TrainedRun], data: Sequence[EvaluationData]
) -> Bool[np.ndarray, " evaluated"]:
    """Which of the rows were in training or validation of any run; warns if others have only their features.

    Args:
        data: the rows of each run.
    """
    recognised: dict[object, tuple[SeenRows, Bool[np.ndarray, "2 evaluated"]]] = {}
    for run, each in zip(members, data, strict=True):
        values = Values(each.x, each.y, run.schema.offsets)
        for seen in run.seen:
            if (key := (id(each), seen.digest)) not in recognised:  # the same for all seeds
                recognised[key] = seen, seen.recognised(values, each.rows)
    rows = np.any([of_rows for _, (_, of_rows) in recognised.values()], axis=0)
    for seen, (features, _) in recognised.values():
        repeated, total = int((features & ~rows).sum()), int((~rows).sum())
        if seen.is_unusual(repeated, total):
            log.warning(
                "%s: %s of %s rows (%.1f %%; %.1f %% of the run's own test rows) have the inputs of a row in "
                "training or validation, but a different target: if they are training rows with corrected "
                "targets, these scores are too optimistic",
                data[0].source,
                f"{repeated:,}",
                f"{total:,}",
                100 * repeated / total,
                100 * seen.repeated / seen.test,
            )
            break
    return rows


def _without_seen_rows(rows: Rows, seen: Bool[np.ndarray, " evaluated"], path: str, *, include: bool) -> Rows:
    """The rows that are evaluated; logs how many were in training or validation."""
    count, total = int(seen.sum()), len(rows)
    if count and include:
        what = "%s: %s of %s rows were in training or validation: these scores are not test scores"
        log.warning(what, path, f"{count:,}", f"{total:,}")
    elif count == total:
        what = f"all {total:,} rows were in training or validation; no rows are left to test on"
        remedy = "remove data.path= to use the run's own test rows, or keep all rows: training_rows=include"
        raise UserError(Fault(what, path, remedy=remedy))
    elif count:
        what = "%s: %s of %s rows were in training or validation and are left out (training_rows=include"
        log.warning(f"{what} keeps them)", path, f"{count:,}", f"{total:,}")
        return rows[~seen]
    return rows


def _check_weights(weight: Float64[np.ndarray, " row"], where: str) -> None:
    if (weight < 0).any() or not weight.any():
        what = "weights are negative" if (weight < 0).any() else "all weights are 0"
        raise UserError(Fault(what, where, remedy="give each row a weight of 0 or more"))
