"""The command evaluate: the scores of trained runs on their own test rows, or on a different file."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float64

from mlplab.commands.evaluation_rows import EvaluationData, rows_of_file
from mlplab.commands.importance import Importance, check_shared_rows, importance_of, write_importance
from mlplab.console import progress_lines
from mlplab.data.cache import DataCache, RunData
from mlplab.data.loader import EVALUATION_MULTIPLE, EVALUATION_ROWS, Loader
from mlplab.errors import UserError
from mlplab.files import replacing
from mlplab.runs.baselines.fitted import baseline_part_scores, baselines
from mlplab.runs.folder import finite
from mlplab.runs.predictions import weighted_mean
from mlplab.runs.scores import Scores, score_networks
from mlplab.runs.trained.chosen_ensemble import EVALUATION_FILE
from mlplab.runs.trained.ensemble import Ensemble, load
from mlplab.runs.trained.run_stack import predict_runs
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
        classes: the classes of the target; empty if the targets are numbers.
        confusion: for classes, the number (or weight) of rows by true and predicted class: of the run or the
            ensemble; if the runs have different test rows, of all of them together.
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
        mean = {name: float(np.mean(each)) for name, each in values.items()}
        return mean, {name: float(np.std(each, ddof=1)) for name, each in values.items()}

    def plain(self) -> dict[str, Any]:
        """The content of evaluation.json: `test/…`, or for several runs `members/test/…`, `members/sd/…` and
        `ensemble/test/…`; for the baselines `boosting/test/…`, `linear/test/…` and `constant/test/…`."""
        parts = {f"{self.part}/": self.members[0]}
        if len(self.members) > 1:
            mean, sd = self.mean_and_sd()
            parts = {f"members/{self.part}/": mean, "members/sd/": sd}
            parts |= {f"ensemble/{self.part}/": self.ensemble} if self.ensemble else {}
        parts |= {f"{name}/{self.part}/": each for name, each in self.baselines.items()}
        scores = {f"{part}{name}": value for part, each in parts.items() for name, value in each.items()}
        content = {"data": self.source, "rows": self.rows, "runs": len(self.members), **finite(scores)}
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
        importance: whether to compute which columns matter for the ensemble, too.
    """
    members = ensemble.members
    with _without_reading_warnings():
        if path:
            data, any_seen = rows_of_file(members, path, include=include)
            beside = _baseline_scores(members[0], data[0], cache)
        else:
            data, beside = _own_rows(members, cache)
            any_seen = False
    if importance:
        check_shared_rows(data)
    first, classes = data[0], members[0].schema.classes
    with progress_lines(log.info, lambda: f"{first.source}: scoring {len(first.rows):,} rows"):
        each = tuple(run_scores(run, rows) for run, rows in zip(members, data, strict=True))
        together, confusion = _together(ensemble, data)
    part = "all" if any_seen else "test"
    rows, networks = len(first.rows), sum(len(run.members) for run in members)
    columns = importance_of(ensemble, data, part) if importance else None
    return EvaluationResult(
        first.source, rows, each, networks, part, together, beside, classes, confusion, columns
    )


def _together(ensemble: Ensemble, data: Sequence[EvaluationData]) -> tuple[Scores | None, Confusion | None]:
    """The scores of the ensemble, and the confusion matrix: its own or, on different rows, all members'."""
    members, classes, first = ensemble.members, ensemble.schema.classes, data[0]
    is_shared = all(rows.has_same_rows(first) for rows in data)
    if len(members) > 1 and not is_shared:
        log.warning(
            "no ensemble scores: the runs have different splits, so one run's test rows are another's "
            "training rows; to score the ensemble, use a different file: data.path=…"
        )
    if not classes and (len(members) == 1 or not is_shared):
        return None, None
    features = {(id(own.x), id(own.rows)): own.x[own.rows] for own in data}
    predictions = predict_runs(members, [features[id(own.x), id(own.rows)] for own in data])
    together = None
    if is_shared:
        predictions, data = [weighted_mean(np.stack(predictions), ensemble.weights)], [first]
        together = first.scores(predictions[0], ensemble.schema) if len(members) > 1 else None
    matrices = [own.confusion(p) for own, p in zip(data, predictions, strict=True)] if classes else []
    return together, np.sum(matrices, axis=0) if matrices else None


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


def run_scores(run: TrainedRun, data: EvaluationData) -> Scores:
    """Loss and metrics, computed as in training; of an ensemble run, the metrics of its mean prediction."""
    if len(run.member_weights) > 1:
        [predicted] = predict_runs([run], [data.x[data.rows]])
        return data.scores(predicted, run.schema)
    x, y, rows = torch.from_numpy(data.x), torch.from_numpy(data.y), [torch.from_numpy(data.rows)]
    weight = None if data.weight is None else torch.from_numpy(data.weight)[:, None]
    imputed = run.network.preprocessing.impute(x.unsqueeze(0))[0]
    loader = Loader(imputed, y, rows, EVALUATION_ROWS, multiple=EVALUATION_MULTIPLE, weight=weight)
    loss = build_loss([run.config.loss])
    values, _ = score_networks(run.network, loss, loader, [len(data.rows)], run.schema)
    return {name: value.item() for name, value in values.items()}


def _own_rows(
    members: Sequence[TrainedRun], cache: DataCache
) -> tuple[list[EvaluationData], dict[str, Scores]]:
    """The test rows of each run, and the baselines' scores on them (means over runs)."""
    found, each = [], []
    for run in members:
        data = own_data(run, cache)
        table, source = data.table, f"{data.table.source}, test rows"
        found.append(EvaluationData(source, table.x, table.y, table.weight, data.split.test))
        with _baseline_progress():
            each.append(baseline_part_scores(data, *_baseline_options(run)))
    means = {
        baseline: {name: float(np.mean([scores[baseline][name] for scores in each])) for name in of_first}
        for baseline, of_first in each[0].items()
        if all(baseline in scores for scores in each)
    }
    return found, means


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


def _baseline_scores(run: TrainedRun, data: EvaluationData, cache: DataCache) -> dict[str, Scores]:
    """The scores on these rows of the baselines of a run's table; none if that table has changed."""
    try:
        trained_on = cache.data(run.config)
        trained_on.check_unchanged(run.table, "", order=False)
    except UserError as error:
        log.warning(
            "no baselines, because their training rows are not available: %s", error.faults[0].sentence()
        )
        return {}
    with _baseline_progress():
        fitted = baselines(trained_on, *_baseline_options(run))
        return fitted.scores(data.x, data.y, data.weight, data.rows)


def _baseline_progress() -> AbstractContextManager[None]:
    return progress_lines(log.info, lambda: "fitting and scoring the baselines")


def _baseline_options(run: TrainedRun) -> tuple[Sequence[str], float, int]:
    """Which baselines a run was compared with, the seconds of its training, and its threads."""
    return run.config.baselines, float(run.metrics["seconds"]), run.config.threads
