"""The verb evaluate: how good a trained run is, on its own test rows or on another file."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from jaxtyping import Float, Float64

from mlplab.data.cells import BAD, EXPECTED, is_bad, numbers, words
from mlplab.data.loader import EVALUATION_MULTIPLE, EVALUATION_ROWS, Loader
from mlplab.data.matching import Matcher, check_columns
from mlplab.data.schema import Schema
from mlplab.data.sources.opening import opened
from mlplab.data.sources.source import Source
from mlplab.data.split import Rows
from mlplab.data.table import BLOCK
from mlplab.errors import Fault, UserError, listed, shortened
from mlplab.files import replacing
from mlplab.runs.baselines import Scores, scores
from mlplab.runs.folder import finite
from mlplab.runs.inputs import STORED
from mlplab.runs.load import Ensemble, TrainedRun, load
from mlplab.runs.splits import make_split
from mlplab.runs.tables import csv_options, load_table, spec_of
from mlplab.training.evaluation import Evaluation
from mlplab.training.losses import build_loss

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Data:
    """Rows to evaluate on: features as a run's schema makes them, targets in their own units, what each row
    counts, and which of them are evaluated."""

    source: str
    x: Float[np.ndarray, "row feature"]
    y: Float64[np.ndarray, "row target"]
    weight: Float64[np.ndarray, " row"] | None
    rows: Rows

    def scores(self, predicted: Float64[np.ndarray, "evaluated target"]) -> Scores:
        """Of predictions for the rows that are evaluated."""
        weight = None if self.weight is None else self.weight[self.rows]
        return scores(predicted, self.y[self.rows], weight)


@dataclass(frozen=True)
class Report:
    """Scores of runs and, if there are several, of their ensemble."""

    source: str
    rows: int
    members: tuple[Scores, ...]
    ensemble: Scores | None = None

    def spread(self) -> tuple[Scores, Scores]:
        """Mean and standard deviation of the members' scores."""
        values = {name: [scores[name] for scores in self.members] for name in self.members[0]}
        mean = {name: float(np.mean(each)) for name, each in values.items()}
        return mean, {name: float(np.std(each, ddof=1)) for name, each in values.items()}

    def plain(self) -> dict[str, float | int | str | None]:
        """As evaluation.json holds it: `test/…`; of several runs `mean/test/…`, `sd/…` and `ensemble/…`."""
        parts = {"": self.members[0]}
        if len(self.members) > 1:
            mean, sd = self.spread()
            parts = {"mean/": mean, "sd/": sd} | ({"ensemble/": self.ensemble} if self.ensemble else {})
        scores = {f"{part}test/{name}": value for part, each in parts.items() for name, value in each.items()}
        return {"data": self.source, "rows": self.rows, "runs": len(self.members), **finite(scores)}


def evaluate(folder: Path, path: str | None = None) -> Report:
    """Evaluates a run, or a sweep's runs and their ensemble, and writes `evaluation.json` in the folder.

    On a run's own test rows the scores are those of its training, bit by bit if that was on the CPU.

    Args:
        folder: a run's or a sweep's.
        path: a CSV or Parquet file with the target; None takes the run's own test rows.

    Raises:
        UserError: if the folder holds no finished run, or the data do not fit it.
    """
    trained = load(folder)
    members = trained.members if isinstance(trained, Ensemble) else (trained,)
    data = _other_rows(members, path) if path else _own_rows_of_each(members)
    each = tuple(run_scores(run, rows) for run, rows in zip(members, data, strict=True))
    first, ensemble = data[0], None
    if isinstance(trained, Ensemble):
        if path or all(_parts(run) == _parts(members[0]) for run in members):
            each_one = (
                run.predict_features(rows.x[rows.rows]) for run, rows in zip(members, data, strict=True)
            )
            ensemble = first.scores(np.mean(list(each_one), axis=0))
        else:
            log.warning(
                "no scores of the ensemble: its runs have other splits, so that the test rows of one are "
                "training rows of another; evaluate it on another file with data.path="
            )
    report = Report(first.source, len(first.rows), each, ensemble)
    with replacing(folder / "evaluation.json") as partial:
        partial.write_text(json.dumps(report.plain(), indent=2) + "\n", encoding="utf-8")
    return report


def _parts(run: TrainedRun) -> dict[str, Any]:
    """What says which rows are a run's test rows."""
    return run.config.data.model_dump(exclude={"columns", "batch_size", "memory"})


def run_scores(run: TrainedRun, data: Data) -> Scores:
    """Loss, rmse, mae and r2, computed as training computes them."""
    x, y, rows = torch.from_numpy(data.x), torch.from_numpy(data.y), [torch.from_numpy(data.rows)]
    weight = None if data.weight is None else torch.from_numpy(data.weight)[:, None]
    loss = build_loss([run.config.loss])
    evaluation = Evaluation(loss, [len(data.rows)], "test", run.schema.targets)
    filled = run.network.encoder.filled(x.unsqueeze(0))[0]
    loader = Loader(filled, y, rows, EVALUATION_ROWS, multiple=EVALUATION_MULTIPLE, weight=weight)
    with torch.inference_mode():
        for batch in loader:
            evaluation.add(run.network, batch)
        values = evaluation.take(run.network)
    return {name.removeprefix("test/"): value.item() for name, value in values.items()}


def _own_rows_of_each(members: Sequence[TrainedRun]) -> list[Data]:
    """Each run's own test rows; what several were trained on alike is read once."""
    data: list[Data] = []
    for run in members:
        alike = (
            rows
            for other, rows in zip(members, data, strict=False)
            if other.config.data == run.config.data and other.table == run.table
        )
        data.append(next(alike, None) or _own_rows(run))
    return data


def _own_rows(run: TrainedRun) -> Data:
    remedy = f"{run.folder} was trained on it; name a file to evaluate on with data.path=…"
    try:
        table = load_table(run.config)
    except UserError as error:
        raise UserError(*(replace(fault, remedy=remedy) for fault in error.faults)) from error
    if table.fingerprint() != {name: value for name, value in run.table.items() if name != STORED}:
        raise UserError(
            Fault("has changed since the training, test rows may be others", table.source, remedy=remedy)
        )
    split = make_split(run.config.data.split, table)
    return Data(f"test rows of {table.source}", table.x, table.y, table.weight, split.test)


def _other_rows(members: Sequence[TrainedRun], path: str) -> list[Data]:
    """Rows of another file, as each of some runs sees them."""
    first = members[0]
    schema, drop = first.schema, spec_of(first.config.data).drop_missing_targets
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
        frames = list(source.frames(BLOCK))
        if not sum(frame.height for frame in frames):
            raise UserError(Fault("has no rows", path, remedy="give it rows of data"))
        frame = pl.concat(frames)
        y = np.stack([_finite(source, schema, frame, name, "target", drop) for name in schema.targets], 1)
        weighted = schema.weight if schema.weight in source.schema else None
        weight = _finite(source, schema, frame, weighted, "weight", False) if weighted else None
        rows = np.flatnonzero(np.isfinite(y).all(1))
        if not len(rows):
            raise UserError(Fault("has no row with a target", path, remedy="give it rows with targets"))
        if weight is not None:
            _check_weights(weight, f"{path}, weight column '{weighted}'")
        elif schema.weight:
            log.warning("%s: has no weight column '%s': all rows count alike", path, schema.weight)
        found: list[tuple[Matcher, Data]] = []
        data = []
        for run in members:  # those trained on one table need its features once
            alike = (each for matcher, each in found if matcher.serves(run.schema, run.dtype))
            if (each := next(alike, None)) is None:
                matcher = Matcher(run.schema, path, run.dtype, comma=source.comma)
                each = Data(path, matcher.features(frame), y, weight, rows)
                found.append((matcher, each))
            data.append(each)
    for matcher, _ in found:
        matcher.warn()
    return data


def _check_weights(weight: Float64[np.ndarray, " row"], where: str) -> None:
    if (weight < 0).any() or not weight.any():
        what = "weights are negative" if (weight < 0).any() else "all weights are 0"
        raise UserError(Fault(what, where, remedy="give each row a weight of 0 or more"))


def _finite(
    source: Source, schema: Schema, frame: pl.DataFrame, name: str, role: str, drop: bool
) -> Float64[np.ndarray, " row"]:
    """A column of numbers; `drop` lets them be missing (NaN)."""
    dtype, marks = frame.schema[name], schema.marks
    columns = (
        numbers(name, dtype, marks, comma=source.comma).alias("values"),
        words(name, dtype, marks).is_null().alias("gaps"),
        is_bad(name, dtype, marks, "number", comma=source.comma).alias("bad"),
    )
    values, gaps, bad = frame.select(columns)
    bad = bad if drop else bad | gaps
    if count := int(bad.sum()):
        row = int(bad.arg_max() or 0)
        more = f"; {count:,} such cells in this column" if count > 1 else ""
        what, found = (
            ("a value is missing", "") if gaps[row] else (BAD["number"], shortened(str(frame[name][row])))
        )
        place = source.place(row, f"{role} column '{name}'")
        raise UserError(
            Fault(what + more, place, found, EXPECTED["number"], "correct it, or leave such rows out")
        )
    return values.fill_null(float("nan")).to_numpy(writable=True)
