"""Test scores, and the file that keeps them: a line of JSON for each."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64, Int64
from pydantic import BaseModel, ConfigDict, ValidationError
from sklearn.metrics import accuracy_score, log_loss, root_mean_squared_error

from benchmarks.quality.tables import BenchmarkTable, Split
from mlplab.data.schema import Task
from mlplab.errors import Fault, UserError

BINS = 15
"""Of the confidence, for the calibration error."""


class Outcome(NamedTuple):
    """What a contender predicts for the test rows, numbers or the probability of each class; its seconds."""

    predicted: Float64[np.ndarray, " row"] | Float64[np.ndarray, "row class"]
    fit_seconds: float
    predict_seconds: float


class Trial(BaseModel):
    """What is scored: one fit of one contender.

    Attributes:
        hash: of the table and of the split.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    table: str
    split: int
    hash: str
    task: Task
    contender: str
    overrides: tuple[str, ...]
    seed: int


class Score(BaseModel):
    """A trial with its test scores.

    Attributes:
        made_by: versions and machine.
    """

    trial: Trial
    metrics: dict[str, float]
    fit_seconds: float
    predict_seconds: float
    date: str
    made_by: dict[str, Any]

    @property
    def error(self) -> float:
        """What contenders are compared by."""
        return self.metrics["rmse" if self.trial.task == "regression" else "log_loss"]


def score(
    trial: Trial, table: BenchmarkTable, split: Split, outcome: Outcome, made_by: Mapping[str, Any]
) -> Score:
    """Compares predictions with the target."""
    return Score(
        trial=trial,
        metrics=_metrics(table, table.y[split.test], outcome.predicted),
        fit_seconds=outcome.fit_seconds,
        predict_seconds=outcome.predict_seconds,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        made_by=dict(made_by),
    )


class ScoreFile:
    """The scores in a file, which is written as soon as there is another one.

    Raises:
        UserError: if a line of the file is not a score.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._scores: dict[Trial, Score] = {}
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        for number, line in enumerate(lines, 1):
            try:
                found = Score.model_validate_json(line)
            except ValidationError:
                remedy = "delete this line, or give another file: output=…"
                raise UserError(Fault("is not a score", f"{path}, line {number}", remedy=remedy)) from None
            self._scores[found.trial] = found

    def get(self, trial: Trial) -> Score | None:
        """The score of a trial, if it has one."""
        return self._scores.get(trial)

    def add(self, new: Score) -> None:
        """Appends a score."""
        self._scores[new.trial] = new
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(new.model_dump_json() + "\n")


def _metrics(table: BenchmarkTable, y: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    if not table.classes:
        return {"rmse": float(root_mean_squared_error(y, predicted))}
    p = predicted / predicted.sum(1, keepdims=True)
    return {
        "log_loss": float(log_loss(y, p, labels=range(len(table.classes)))),
        "accuracy": float(accuracy_score(y, p.argmax(1))),
        "calibration_error": _calibration_error(y, p),
    }


def _calibration_error(y: Int64[np.ndarray, " row"], p: Float64[np.ndarray, "row class"]) -> float:
    """The mean distance between confidence and accuracy, in equal bins of the confidence."""
    confidence, gap = p.max(1), p.max(1) - (p.argmax(1) == y)
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    return float(np.abs(np.bincount(bins, gap)).sum() / len(y))
