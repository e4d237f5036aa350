"""The command evaluate: the scores of trained runs on their own test rows, or on another file."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
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
from mlplab.data.load import csv_options, spec_of
from mlplab.data.io.source import Source
from mlplab.data.loader import EVALUATION_MULTIPLE, EVALUATION_ROWS, Loader
from mlplab.data.schema import Column, Schema
from mlplab.data.splits.split import Rows
from mlplab.data.table import BLOCK
from mlplab.data.transform import FrameTransformer, check_columns
from mlplab.errors import Fault, UserError, listed
from mlplab.files import replacing
from mlplab.runs.baselines import Scores, baseline_test_scores, baselines, scores
from mlplab.runs.ensemble import load
from mlplab.runs.folder import finite
from mlplab.runs.trained import TrainedRun
from mlplab.training.evaluation import Evaluation
from mlplab.training.losses import build_loss

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EvaluationData:
    """A table, and which of its rows are evaluated.

    Attributes:
        x: features as a run's schema makes them.
        y: targets in their own units.
        weight: of each row; None: all equal.
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

    def scores(self, predicted: Float64[np.ndarray, "evaluated target"]) -> Scores:
        """The scores of predictions for the evaluated rows."""
        weight = None if self.weight is None else self.weight[self.rows]
        return scores(predicted, self.y[self.rows], weight)


@dataclass(frozen=True)
class Report:
    """Scores of runs, of their ensemble if there are several, and of the baselines.

    Attributes:
        part: `test`, or `all` if some of the rows were in training or validation.
    """

    source: str
    rows: int
    members: tuple[Scores, ...]
    part: str = "test"
    ensemble: Scores | None = None
    baselines: Mapping[str, Scores] = field(default_factory=dict)

    def mean_and_sd(self) -> tuple[Scores, Scores]:
        """Mean and standard deviation of the members' scores."""
        values = {name: [scores[name] for scores in self.members] for name in self.members[0]}
        mean = {name: float(np.mean(each)) for name, each in values.items()}
        return mean, {name: float(np.std(each, ddof=1)) for name, each in values.items()}

    def plain(self) -> dict[str, float | int | str | None]:
        """The content of evaluation.json: `test/…`, or of several runs `members/test/…`, `members/sd/…` and
        `ensemble/test/…`; of the baselines `ridge/test/…` and `mean/test/…`."""
        parts = {f"{self.part}/": self.members[0]}
        if len(self.members) > 1:
            mean, sd = self.mean_and_sd()
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
    """Evaluates runs and their ensemble, and writes `evaluation.json` to the folder.

    On a run's own test rows, the scores equal those of its training, bit by bit if that was on the CPU.

    Args:
        folder: of a run or a sweep.
        path: a CSV or Parquet file with the target; None: the runs' own test rows.
        runs: which runs of a sweep, as in `load`.
        training_rows: whether rows of the file that were in training or validation are left out.

    Raises:
        UserError: if the folder holds no finished run, the data do not fit it, or no row is new.
    """
    members = load(folder, runs).members
    with _without_reading_warnings():
        if path:
            data, any_seen = _other_rows(members, path, include=training_rows == "include")
            beside = _baseline_scores(members[0], data[0])
        else:
            data, beside = _own_rows(members)
            any_seen = False
    each = tuple(run_scores(run, rows) for run, rows in zip(members, data, strict=True))
    first, ensemble = data[0], None
    if len(members) > 1 and all(rows.has_same_rows(first) for rows in data):
        predictions = [run.predict_features(own.x[own.rows]) for run, own in zip(members, data, strict=True)]
        ensemble = first.scores(np.mean(predictions, axis=0))
    elif len(members) > 1:
        log.warning(
            "no scores of the ensemble: its runs have different splits, so test rows of one are training "
            "rows of another; evaluate it on another file with data.path="
        )
    report = Report(first.source, len(first.rows), each, "all" if any_seen else "test", ensemble, beside)
    with replacing(folder / "evaluation.json") as partial:
        partial.write_text(json.dumps(report.plain(), indent=2) + "\n", encoding="utf-8")
    return report


@contextmanager
def _without_reading_warnings() -> Iterator[None]:
    """Silences warnings about the columns of the training table: training has shown them."""
    logger = logging.getLogger("mlplab.data.infer")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def run_scores(run: TrainedRun, data: EvaluationData) -> Scores:
    """Loss, rmse, mae and r2, computed as in training."""
    x, y, rows = torch.from_numpy(data.x), torch.from_numpy(data.y), [torch.from_numpy(data.rows)]
    weight = None if data.weight is None else torch.from_numpy(data.weight)[:, None]
    loss = build_loss([run.config.loss])
    evaluation = Evaluation(loss, [len(data.rows)], "test", run.schema.targets)
    imputed = run.network.preprocessing.impute(x.unsqueeze(0))[0]
    loader = Loader(imputed, y, rows, EVALUATION_ROWS, multiple=EVALUATION_MULTIPLE, weight=weight)
    with torch.inference_mode():
        for batch in loader:
            evaluation.add(run.network, batch)
        values = evaluation.compute_and_reset(run.network)
    return {name.removeprefix("test/"): value.item() for name, value in values.items()}


def _own_rows(members: Sequence[TrainedRun]) -> tuple[list[EvaluationData], dict[str, Scores]]:
    """The test rows of each run, and the baselines' scores on them (means over runs)."""
    cache, found, each = DataCache(), [], []
    for run in members:
        remedy = f"{run.folder} was trained on it; to evaluate on another file: data.path=…"
        try:
            data = cache.data(run.config)
        except UserError as error:
            raise UserError(*(replace(fault, remedy=remedy) for fault in error.faults)) from error
        data.check_unchanged(run.table, remedy, order=False)
        table, source = data.table, f"test rows of {data.table.source}"
        found.append(EvaluationData(source, table.x, table.y, table.weight, data.split.test))
        each.append(baseline_test_scores(data))
    means = {
        baseline: {name: float(np.mean([scores[baseline][name] for scores in each])) for name in of_first}
        for baseline, of_first in each[0].items()
    }
    return found, means


def _baseline_scores(run: TrainedRun, data: EvaluationData) -> dict[str, Scores]:
    """The scores on other rows of the baselines of a run's table; none if that table has changed."""
    try:
        trained_on = DataCache().data(run.config)
        trained_on.check_unchanged(run.table, "", order=False)
    except UserError as error:
        log.warning("no baselines, as their training rows are not available: %s", error.faults[0].sentence())
        return {}
    return baselines(trained_on).scores(data.x, data.y, data.weight, data.rows)


def _other_rows(
    members: Sequence[TrainedRun], path: str, *, include: bool
) -> tuple[list[EvaluationData], bool]:
    """The rows of another file as each run reads them, and whether training has seen some of them.

    Args:
        include: whether rows that training has seen are evaluated, too.
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
                    remedy="add that column, or predict only: scripts/predict.py",
                )
            )
        check_columns(schema, list(source.schema), path)
        frames = list(source.frames(BLOCK))
        if not sum(frame.height for frame in frames):
            raise UserError(Fault("has no rows", path, remedy="give it rows of data"))
        frame, comma = pl.concat(frames), source.decimal_comma
        y, weight = _targets_and_weight(first, frame, source)
    rows = np.flatnonzero(np.isfinite(y).all(1))
    transformers: list[FrameTransformer] = []
    tables: list[EvaluationData] = []
    data = []
    for run in members:  # runs trained on one table share its features
        same = (
            table
            for each, table in zip(transformers, tables, strict=True)
            if each.serves(run.schema, run.dtype)
        )
        if (table := next(same, None)) is None:
            transformer = FrameTransformer(run.schema, path, run.dtype, comma=comma)
            table = EvaluationData(path, transformer.features(frame), y, weight, rows)
            transformers.append(transformer)
            tables.append(table)
        data.append(table)
    for transformer in transformers:
        transformer.warn()
    seen = _seen_rows(members, data, tables)
    rows = _without_seen_rows(rows, seen, path, include=include)
    if weight is not None:
        _check_weights(weight[rows], f"{path}, weight column '{schema.weight}'")
    return [replace(each, rows=rows) for each in data], include and bool(seen.any())


def _targets_and_weight(
    run: TrainedRun, frame: pl.DataFrame, source: Source
) -> tuple[Float64[np.ndarray, "row target"], Float64[np.ndarray, " row"] | None]:
    """The columns of targets, NaN where they are missing and may be, and of row weights."""
    schema, may_be_missing = run.schema, spec_of(run.config.data).drop_missing_targets
    weighted = schema.weight in frame.columns
    if schema.weight and not weighted:
        log.warning("%s: has no weight column '%s': all rows count equally", source.where, schema.weight)
    names = [*schema.targets, *([schema.weight] if weighted and schema.weight else [])]
    columns = Schema(
        tuple(Column(name, "numeric", missing=True) for name in names), (), na_values=schema.na_values
    )
    values = FrameTransformer(columns, source.where, np.float64, comma=source.decimal_comma).features(frame)
    for place in range(len(schema.targets) if may_be_missing else 0, len(names)):
        if len(missing := np.flatnonzero(np.isnan(values[:, place]))):
            more = f"; {len(missing):,} such cells in this column" if len(missing) > 1 else ""
            role = "target" if place < len(schema.targets) else "weight"
            where = source.location(int(missing[0]), f"{role} column '{names[place]}'")
            remedy = "fill it in, or leave such rows out"
            raise UserError(Fault(f"a value is missing{more}", where, expected="a number", remedy=remedy))
    y = values[:, : len(schema.targets)]
    if not np.isfinite(y).all(1).any():
        raise UserError(Fault("has no row with a target", source.where, remedy="give it rows with targets"))
    return y, values[:, -1] if weighted else None


def _seen_rows(
    members: Sequence[TrainedRun], data: Sequence[EvaluationData], tables: Sequence[EvaluationData]
) -> Bool[np.ndarray, " evaluated"]:
    """Which of the rows the training or validation of some run has seen.

    Args:
        data: of each run.
        tables: the same without repeats.
    """
    hashes = {id(each): row_hashes(each.x[each.rows], each.y[each.rows]) for each in tables}
    return np.any([run.has_seen(hashes[id(each)]) for run, each in zip(members, data, strict=True)], axis=0)


def _without_seen_rows(rows: Rows, seen: Bool[np.ndarray, " evaluated"], path: str, *, include: bool) -> Rows:
    """The rows that are evaluated; logs how many training has seen."""
    count, total = int(seen.sum()), len(rows)
    if count and include:
        what = "%s: %s of %s rows were in training or validation: these scores are not test scores"
        log.warning(what, path, f"{count:,}", f"{total:,}")
    elif count == total:
        what = f"all {total:,} rows were in training or validation; none is left to test on"
        remedy = "leave out data.path= to use the run's own test rows, or include them: training_rows=include"
        raise UserError(Fault(what, path, remedy=remedy))
    elif count:
        what = "%s: %s of %s rows were in training or validation and are left out (training_rows=include"
        log.warning(f"{what} includes them)", path, f"{count:,}", f"{total:,}")
        return rows[~seen]
    return rows


def _check_weights(weight: Float64[np.ndarray, " row"], where: str) -> None:
    if (weight < 0).any() or not weight.any():
        what = "weights are negative" if (weight < 0).any() else "all weights are 0"
        raise UserError(Fault(what, where, remedy="give each row a weight of 0 or more"))
