"""The command evaluate: the scores of trained runs on their own test rows, or on a different file."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float64

from mlplab.commands.evaluation_rows import EvaluationRows, rows_of_file
from mlplab.commands.importance import Importance, importance_of, write_importance
from mlplab.console import progress_lines
from mlplab.data.batches.loader import EVALUATION_BATCH_ROWS, EVALUATION_MULTIPLE, Loader
from mlplab.data.cache import DataCache, RunData
from mlplab.errors import UserError
from mlplab.files import replacing
from mlplab.runs.baselines.fit_baselines import fit_baselines
from mlplab.runs.folder import finite
from mlplab.runs.scores import Scores, score_networks
from mlplab.runs.trained.chosen_ensemble import EVALUATION_FILE
from mlplab.runs.trained.ensemble import Ensemble, load
from mlplab.runs.trained.run_stack import check_finite, predict_run
from mlplab.runs.trained.trained_run import TrainedRun
from mlplab.training.losses import build_loss

Confusion = Float64[np.ndarray, "true predicted"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EvaluationResult:
    """Scores of runs, of their ensemble if there are several, and of the baselines.

    Attributes:
        networks: the number of networks of all runs.
        part: `test`, or `all` if some of the rows were in training or validation.
        classes: the classes of the target; empty for regression.
        confusion: for classes, the number (or weight) of rows by true and predicted class; None if the runs
            have different test rows.
        importance: which columns matter, if that was requested.
    """

    source: str
    rows: int
    members: tuple[Scores, ...]
    networks: int = 1
    part: str = "test"
    ensemble: Scores | None = None
    baselines: Mapping[str, Scores] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    confusion: Confusion | None = None
    importance: Importance | None = None

    def mean_and_sd(self) -> tuple[Scores, Scores]:
        """Mean and standard deviation of the scores that all members have."""
        names = [name for name in self.members[0] if all(name in scores for scores in self.members)]
        values = {name: [scores[name] for scores in self.members] for name in names}
        mean = {name: float(np.mean(of_members)) for name, of_members in values.items()}
        return mean, {name: float(np.std(of_members, ddof=1)) for name, of_members in values.items()}

    def plain(self) -> dict[str, Any]:
        """The content of evaluation.json: `test/…`, or for several runs `members/test/…`, `members/sd/…` and
        `ensemble/test/…`; for the baselines `boosting/test/…`, `linear/test/…` and `constant/test/…`."""
        parts = {f"{self.part}/": self.members[0]}
        if len(self.members) > 1:
            mean, sd = self.mean_and_sd()
            parts = {f"members/{self.part}/": mean, "members/sd/": sd}
            parts |= {f"ensemble/{self.part}/": self.ensemble} if self.ensemble else {}
        parts |= {f"{name}/{self.part}/": scores for name, scores in self.baselines.items()}
        values = {f"{part}{name}": value for part, scores in parts.items() for name, value in scores.items()}
        content = {"data": self.source, "rows": self.rows, "runs": len(self.members), **finite(values)}
        if self.confusion is not None:
            content |= {"classes": list(self.classes), "confusion": self.confusion.tolist()}
        return content


def evaluate(
    folder: Path,
    path: str | None = None,
    *,
    runs: str | int = "best",
    training_rows: Literal["exclude", "include"] = "exclude",
    importance: bool = False,
) -> EvaluationResult:
    """Evaluates runs and their ensemble, and writes `evaluation.json` to the folder.

    On a run's own test rows, the scores equal the test scores reported at the end of training, bit for bit if
    that was on a CPU.

    Args:
        folder: the folder of a run or a sweep.
        path: a CSV or Parquet file with the target; None: the runs' own test rows.
        runs: which runs of a sweep, as in `load`.
        training_rows: `exclude` leaves out rows of the file that were in training or validation; `include`
            keeps them.
        importance: whether to compute which columns matter for the ensemble, too; writes `importance.json`
            and figures.

    Raises:
        UserError: if the folder contains no finished run, if the data do not match the network's columns or
            have changed, if all rows were in training or validation, or if the importance is requested of
            runs with different test rows.
    """
    with progress_lines(log.info, lambda: f"loading {folder}"):
        ensemble = load(folder, runs)
    include = training_rows == "include"
    result = score(ensemble, DataCache(), path, include=include, importance=importance)
    with replacing(folder / EVALUATION_FILE) as partial:
        partial.write_text(json.dumps(result.plain(), indent=2) + "\n", encoding="utf-8")
    if result.importance:
        write_importance(folder, result.importance, ensemble)
    return result


def score(
    ensemble: Ensemble,
    cache: DataCache,
    path: str | None = None,
    *,
    include: bool = False,
    importance: bool = False,
) -> EvaluationResult:
    """Scores runs and their ensemble, as in `evaluate`.

    Args:
        cache: the tables of the runs.
        include: whether to keep rows of the file that were in training or validation.
    """
    members, part = ensemble.members, "test"
    if path:
        rows, any_seen = rows_of_file(ensemble, path, include=include)
        data, part = [rows] * len(members), "all" if any_seen else "test"
        of_baselines = _baselines_on_file(members[0], rows, cache)
    else:
        data, of_baselines = _own_test_rows(members, cache)
    first = data[0]
    columns = importance_of(ensemble, data, part) if importance else None
    with progress_lines(log.info, lambda: f"{first.source}: scoring {len(first.y):,} rows"):
        of_members = tuple(run_scores(run, rows) for run, rows in zip(members, data, strict=True))
        together, confusion = _together(ensemble, data)
    return EvaluationResult(
        *(first.source, len(first.y), of_members, ensemble.networks, part, together, of_baselines),
        *(ensemble.schema.classes, confusion, columns),
    )


def _together(ensemble: Ensemble, data: Sequence[EvaluationRows]) -> tuple[Scores | None, Confusion | None]:
    """The scores of an ensemble of several runs, and the confusion matrix of classes."""
    members, classes, first = ensemble.members, ensemble.schema.classes, data[0]
    if not all(rows.has_same_rows(first) for rows in data):
        log.warning(
            "no ensemble scores: the runs have different splits, so one run's test rows are another's "
            "training rows; to score the ensemble, use a different file: data.path=…"
        )
        return None, None
    if len(members) == 1 and not classes:
        return None, None
    predicted, _ = ensemble.predict_features(first.x)
    check_finite(predicted)
    together = first.scores(predicted) if len(members) > 1 else None
    return together, first.confusion(predicted) if classes else None


def run_scores(run: TrainedRun, rows: EvaluationRows) -> Scores:
    """Loss and metrics, computed as in training; of an ensemble run, the metrics of its mean prediction."""
    if len(run.members) > 1:
        return rows.scores(predict_run(run, rows.x))
    x, y, every = torch.from_numpy(rows.x), torch.from_numpy(rows.y), torch.arange(len(rows.y))
    row_weight = None if rows.weight is None else torch.from_numpy(rows.weight)[:, None]
    imputed = run.network.preprocessing.impute(x.unsqueeze(0))[0]
    loader = Loader(
        imputed, y, [every], EVALUATION_BATCH_ROWS, multiple=EVALUATION_MULTIPLE, row_weight=row_weight
    )
    values, _ = score_networks(run.network, build_loss([run.config.loss]), loader, [len(y)], run.schema)
    return {name: value.item() for name, value in values.items()}


def _own_test_rows(
    members: Sequence[TrainedRun], cache: DataCache
) -> tuple[list[EvaluationRows], dict[str, Scores]]:
    """The test rows of each run, and the baselines' scores on them (means over runs)."""
    rows_of: dict[RunData, EvaluationRows] = {}
    data, scored = [], []
    for run in members:
        own = own_data(run, cache)
        if own not in rows_of:  # runs of one split share their rows
            table, rows = own.table, own.split.test
            weight = None if table.weight is None else table.weight[rows]
            source = f"{table.source}, test rows"
            rows_of[own] = EvaluationRows(source, run.schema, rows, table.x[rows], table.y[rows], weight)
        data.append(rows_of[own])
        with progress_lines(log.info, lambda: "fitting and scoring the baselines"):
            scored.append(fit_baselines(own, run.config).test_scores(own))
    means = {
        name: {metric: float(np.mean([scores[name][metric] for scores in scored])) for metric in of_first}
        for name, of_first in scored[0].items()
        if all(name in scores for scores in scored)
    }
    return data, means


def own_data(run: TrainedRun, cache: DataCache) -> RunData:
    """The table and the split that a run was trained on.

    Raises:
        UserError: if they are not available, or have changed.
    """
    remedy = f"{run.folder} was trained on it; to evaluate on a different file: data.path=…"
    try:
        with _without_reading_warnings():
            data = cache.data(run.config)
    except UserError as error:
        raise UserError(*(replace(fault, remedy=remedy) for fault in error.faults)) from error
    data.check_unchanged(run.table, remedy, order=False)
    return data


@contextmanager
def _without_reading_warnings() -> Iterator[None]:
    """Silences warnings about the columns of the training table, which training has already logged."""
    logger = logging.getLogger("mlplab.data.infer")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _baselines_on_file(run: TrainedRun, rows: EvaluationRows, cache: DataCache) -> dict[str, Scores]:
    """The scores on these rows of the baselines of a run's table; none if that table has changed."""
    try:
        data = own_data(run, cache)
    except UserError as error:
        what = "no baselines, because their training rows are not available: %s"
        log.warning(what, error.faults[0].sentence())
        return {}
    with progress_lines(log.info, lambda: "fitting and scoring the baselines"):
        every = np.arange(len(rows.y))
        return fit_baselines(data, run.config).scores(rows.x, rows.y, rows.weight, every)
