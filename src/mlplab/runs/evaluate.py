"""The verb evaluate: how good a trained run is, on its own test rows or on another file."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64

from mlplab.data.loader import EVALUATION_MULTIPLE, EVALUATION_ROWS, Loader
from mlplab.data.matching import match
from mlplab.data.numbers import as_matrix, cell_faults
from mlplab.data.split import Rows
from mlplab.data.table import faults_told, scan
from mlplab.errors import Fault, UserError, listed
from mlplab.files import replacing
from mlplab.runs.baselines import Scores, scores
from mlplab.runs.folder import finite
from mlplab.runs.inputs import load_table, make_split
from mlplab.runs.load import Ensemble, TrainedRun, load
from mlplab.training.evaluation import Evaluation
from mlplab.training.losses import build_loss

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Data:
    """Rows to evaluate on: inputs and target in their own units, and which of them count."""

    source: str
    x: Float64[np.ndarray, "row feature"]
    y: Float64[np.ndarray, " row"]
    rows: Rows


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
    data = [_other_rows(members[0], path)] * len(members) if path else _own_rows_of_each(members)
    each = tuple(run_scores(run, rows) for run, rows in zip(members, data, strict=True))
    first, ensemble = data[0], None
    if isinstance(trained, Ensemble):
        if path or all(run.config.data == members[0].config.data for run in members):
            ensemble = scores(trained.predict_matrix(first.x[first.rows]), first.y[first.rows])
        else:
            log.warning(
                "no scores of the ensemble: its runs have other splits, so that the test rows of one are "
                "training rows of another; evaluate it on another file with data.path="
            )
    report = Report(first.source, len(first.rows), each, ensemble)
    with replacing(folder / "evaluation.json") as partial:
        partial.write_text(json.dumps(report.plain(), indent=2) + "\n", encoding="utf-8")
    return report


def run_scores(run: TrainedRun, data: Data) -> Scores:
    """Loss, rmse, mae and r2, computed as training computes them."""
    dtype = run.network.encoder.x_mean.dtype
    x = torch.from_numpy(data.x - run.schema.offsets).to(dtype)
    y = torch.from_numpy(data.y[:, None])
    evaluation = Evaluation(build_loss([run.config.loss]), [len(data.rows)], "test")
    filled = run.network.encoder.filled(x.unsqueeze(0))[0]
    rows = [torch.from_numpy(data.rows)]
    with torch.inference_mode():
        for batch in Loader(filled, y, rows, EVALUATION_ROWS, multiple=EVALUATION_MULTIPLE):
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
        table = load_table(run.config.data)
    except UserError as error:
        raise UserError(*(replace(fault, remedy=remedy) for fault in error.faults)) from error
    if table.fingerprint() != run.table:
        raise UserError(
            Fault("has changed since the training, test rows may be others", table.source, remedy=remedy)
        )
    split = make_split(run.config.data.split, table.frame.height)
    x = match(run.schema, table.frame, table.source)
    y = as_matrix(table.frame, [table.target], table.source)[:, 0]
    return Data(f"test rows of {table.source}", x, y, split.test)


def _other_rows(run: TrainedRun, path: str) -> Data:
    rows, names = scan(Path(path), path)
    target = run.schema.target
    if target not in names:
        raise UserError(
            Fault(
                f"has no target column '{target}' to compare predictions with",
                path,
                f"the columns {listed(names)}",
                remedy="add that column, or only predict: scripts/predict.py",
            )
        )
    with faults_told(Path(path), len(names), path):
        frame = rows.collect()
    if frame.is_empty():
        raise UserError(Fault("has no rows", path))
    if faults := cell_faults(frame, [target], path, target=target, missing=False):
        raise UserError(*faults)
    x = match(run.schema, frame, path)
    return Data(path, x, as_matrix(frame, [target], path)[:, 0], np.arange(frame.height))
