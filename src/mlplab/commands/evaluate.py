"""The verb evaluate: how good a trained run is, on its own test rows or on another file."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
import torch
from jaxtyping import Bool, Float, Float64

from mlplab.data.cache import DataCache
from mlplab.data.fingerprint import row_hashes
from mlplab.data.io.discovery import opened
from mlplab.data.io.source import Source
from mlplab.data.load import csv_options, spec_of
from mlplab.data.loader import EVALUATION_MULTIPLE, EVALUATION_ROWS, Loader
from mlplab.data.parse import BAD, EXPECTED, bad_cells, cells_of, parse_float, parse_str
from mlplab.data.schema import Schema
from mlplab.data.splits.splitters import Rows
from mlplab.data.table import BLOCK
from mlplab.data.transform import FrameTransformer, check_columns
from mlplab.errors import Fault, UserError, listed, shortened
from mlplab.files import replacing
from mlplab.runs.baselines import Scores, scores
from mlplab.runs.folder import finite
from mlplab.runs.trained import Ensemble, TrainedRun, load
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

    def are(self, other: "Data") -> bool:
        """Whether the same rows of the same table are evaluated."""
        return np.array_equal(self.rows, other.rows) and np.array_equal(
            self.y[self.rows], other.y[other.rows]
        )

    def scores(self, predicted: Float64[np.ndarray, "evaluated target"]) -> Scores:
        """Of predictions for the rows that are evaluated."""
        weight = None if self.weight is None else self.weight[self.rows]
        return scores(predicted, self.y[self.rows], weight)


@dataclass(frozen=True)
class Report:
    """Scores of runs and, if there are several, of their ensemble; beside them those of the baselines.

    Attributes:
        part: `test`, or `all` if some of the rows were in training or validation.
    """

    source: str
    rows: int
    members: tuple[Scores, ...]
    part: str = "test"
    ensemble: Scores | None = None
    baselines: Mapping[str, Scores] = field(default_factory=dict)

    def spread(self) -> tuple[Scores, Scores]:
        """Mean and standard deviation of the members' scores."""
        values = {name: [scores[name] for scores in self.members] for name in self.members[0]}
        mean = {name: float(np.mean(each)) for name, each in values.items()}
        return mean, {name: float(np.std(each, ddof=1)) for name, each in values.items()}

    def plain(self) -> dict[str, float | int | str | None]:
        """As evaluation.json holds it: `test/…`, of several runs `members/test/…`, `members/sd/…` and
        `ensemble/test/…`; of baselines `ridge/test/…` and `mean/test/…`."""
        parts = {f"{self.part}/": self.members[0]}
        if len(self.members) > 1:
            mean, sd = self.spread()
            parts = {f"members/{self.part}/": mean, "members/sd/": sd}
            parts |= {f"ensemble/{self.part}/": self.ensemble} if self.ensemble else {}
        parts |= {f"{name}/{self.part}/": each for name, each in self.baselines.items()}
        scores = {f"{part}{name}": value for part, each in parts.items() for name, value in each.items()}
        return {"data": self.source, "rows": self.rows, "runs": len(self.members), **finite(scores)}


def evaluate(
    folder: Path,
    path: str | None = None,
    *,
    runs: str | int = "best",
    training_rows: Literal["exclude", "include"] = "exclude",
) -> Report:
    """Evaluates a run, or a sweep's runs and their ensemble, and writes `evaluation.json` in the folder.

    On a run's own test rows the scores are those of its training, bit by bit if that was on the CPU.

    Args:
        folder: a run's or a sweep's.
        path: a CSV or Parquet file with the target; None takes the run's own test rows.
        runs: of a sweep, which ones, as `load`.
        training_rows: whether rows of the file that were in training or validation are left out.

    Raises:
        UserError: if the folder holds no finished run, the data do not fit it, or none of the rows is new.
    """
    trained = load(folder, runs)
    members = trained.members if isinstance(trained, Ensemble) else (trained,)
    cache = DataCache()
    if path:
        data, seen = _other_rows(members, path, include=training_rows == "include")
        beside = _baselines(members[0], data[0], cache)
    else:
        data, seen = [_own_rows(run, cache) for run in members], False
        beside = _mean_of([cache.baseline_scores(run.config) for run in members])
    each = tuple(run_scores(run, rows) for run, rows in zip(members, data, strict=True))
    first, ensemble = data[0], None
    if isinstance(trained, Ensemble):
        if all(rows.are(first) for rows in data):
            predicted = [
                run.predict_features(rows.x[rows.rows]) for run, rows in zip(members, data, strict=True)
            ]
            ensemble = first.scores(np.mean(predicted, axis=0))
        else:
            log.warning(
                "no scores of the ensemble: its runs have other splits, so that the test rows of one are "
                "training rows of another; evaluate it on another file with data.path="
            )
    report = Report(first.source, len(first.rows), each, "all" if seen else "test", ensemble, beside)
    with replacing(folder / "evaluation.json") as partial:
        partial.write_text(json.dumps(report.plain(), indent=2) + "\n", encoding="utf-8")
    return report


def _mean_of(each: Sequence[Mapping[str, Scores]]) -> dict[str, Scores]:
    """Baselines' scores, means over runs."""
    return {
        baseline: {name: float(np.mean([run[baseline][name] for run in each])) for name in scores}
        for baseline, scores in each[0].items()
    }


def _baselines(run: TrainedRun, data: Data, cache: DataCache) -> dict[str, Scores]:
    """Scores on other rows of what is fitted to a run's training rows; none if those can no longer be had."""
    try:
        cache.check_unchanged(run.config, run.table, "", order=False)
    except UserError as error:
        log.warning("no baselines, which are fitted to the training rows: %s", error.faults[0].sentence())
        return {}
    return cache.baselines(run.config).scores(data.x, data.y, data.weight, data.rows)


def run_scores(run: TrainedRun, data: Data) -> Scores:
    """Loss, rmse, mae and r2, computed as training computes them."""
    x, y, rows = torch.from_numpy(data.x), torch.from_numpy(data.y), [torch.from_numpy(data.rows)]
    weight = None if data.weight is None else torch.from_numpy(data.weight)[:, None]
    loss = build_loss([run.config.loss])
    evaluation = Evaluation(loss, [len(data.rows)], "test", run.schema.targets)
    filled = run.network.preprocessing.impute(x.unsqueeze(0))[0]
    loader = Loader(filled, y, rows, EVALUATION_ROWS, multiple=EVALUATION_MULTIPLE, weight=weight)
    with torch.inference_mode():
        for batch in loader:
            evaluation.add(run.network, batch)
        values = evaluation.take(run.network)
    return {name.removeprefix("test/"): value.item() for name, value in values.items()}


def _own_rows(run: TrainedRun, cache: DataCache) -> Data:
    """A run's own test rows."""
    remedy = f"{run.folder} was trained on it; name a file to evaluate on with data.path=…"
    try:
        table, split = cache.table(run.config), cache.split(run.config)
    except UserError as error:
        raise UserError(*(replace(fault, remedy=remedy) for fault in error.faults)) from error
    cache.check_unchanged(run.config, run.table, remedy, order=False)
    return Data(f"test rows of {table.source}", table.x, table.y, table.weight, split.test)


def _other_rows(members: Sequence[TrainedRun], path: str, *, include: bool) -> tuple[list[Data], bool]:
    """Rows of another file, as each of some runs sees them, and whether some were seen in training.

    Args:
        include: whether rows that some run has seen are taken too.
    """
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
        if weight is None and schema.weight:
            log.warning("%s: has no weight column '%s': all rows count alike", path, schema.weight)
        found: list[tuple[FrameTransformer, Data]] = []
        data = []
        for run in members:  # those trained on one table need its features once
            alike = (each for transformer, each in found if transformer.serves(run.schema, run.dtype))
            if (each := next(alike, None)) is None:
                transformer = FrameTransformer(run.schema, path, run.dtype, comma=source.comma)
                each = Data(path, transformer.features(frame), y, weight, rows)
                found.append((transformer, each))
            data.append(each)
    for transformer, _ in found:
        transformer.warn()
    seen = _seen(members, data, [each for _, each in found])
    rows = _unseen(rows, seen, path, include=include)
    if weight is not None:
        _check_weights(weight[rows], f"{path}, weight column '{weighted}'")
    return [replace(each, rows=rows) for each in data], include and bool(seen.any())


def _seen(
    members: Sequence[TrainedRun], data: Sequence[Data], different: Sequence[Data]
) -> Bool[np.ndarray, " evaluated"]:
    """Which of the rows some run has seen in training or validation.

    Args:
        data: of each run.
        different: the same, each once.
    """
    hashes = {id(each): row_hashes(each.x[each.rows], each.y[each.rows]) for each in different}
    return np.any([run.has_seen(hashes[id(each)]) for run, each in zip(members, data, strict=True)], axis=0)


def _unseen(rows: Rows, seen: Bool[np.ndarray, " evaluated"], path: str, *, include: bool) -> Rows:
    """The rows that are evaluated; says what becomes of those seen in training."""
    count, total = int(seen.sum()), len(rows)
    if count and include:
        what = "%s: %s of %s rows were in training or validation; the scores say how well they are remembered"
        log.warning(what, path, f"{count:,}", f"{total:,}")
    elif count == total:
        what = f"all {total:,} rows were in training or validation, none is left to test on"
        remedy = (
            "leave out data.path= for the run's own test rows; or training_rows=include, which tests nothing"
        )
        raise UserError(Fault(what, path, remedy=remedy))
    elif count:
        what = "%s: %s of %s rows were in training or validation and are left out; training_rows=include"
        log.warning(f"{what} takes them", path, f"{count:,}", f"{total:,}")
        return rows[~seen]
    return rows


def _check_weights(weight: Float64[np.ndarray, " row"], where: str) -> None:
    if (weight < 0).any() or not weight.any():
        what = "weights are negative" if (weight < 0).any() else "all weights are 0"
        raise UserError(Fault(what, where, remedy="give each row a weight of 0 or more"))


def _finite(
    source: Source, schema: Schema, frame: pl.DataFrame, name: str, role: str, drop: bool
) -> Float64[np.ndarray, " row"]:
    """A column of numbers; `drop` lets them be missing (NaN)."""
    cells = cells_of(frame, name)
    values = parse_float(cells, schema.na_values, decimal_comma=source.comma)
    gaps = parse_str(cells, schema.na_values).is_null()
    bad = bad_cells(cells, values, schema.na_values, "numeric")
    if not drop:
        bad = pl.concat([bad, gaps.arg_true()]).sort()
    if count := len(bad):
        row = bad[0]
        more = f"; {count:,} such cells in this column" if count > 1 else ""
        what, found = (
            ("a value is missing", "")
            if not drop and gaps[row]
            else (BAD["numeric"], shortened(str(frame[name][row])))
        )
        place = source.place(row, f"{role} column '{name}'")
        raise UserError(
            Fault(what + more, place, found, EXPECTED["numeric"], "correct it, or leave such rows out")
        )
    return values.fill_null(float("nan")).to_numpy(writable=True)
