from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from support import SMALL, metrics_of, resolved, train_into
from torch import Tensor

from mlplab.data.batches.loader import Batch
from mlplab.data.cache import DataCache
from mlplab.errors import UserError
from mlplab.models.targets import TargetTransform
from mlplab.runs.compare.ranking import varying_keys
from mlplab.runs.compare.run_result import read_run
from mlplab.runs.folder import RunFolder
from mlplab.runs.planned_run import differences, has_ended
from mlplab.runs.read_folder import has_test_scores, read_config
from mlplab.runs.train_runs import score_finished_run
from mlplab.runs.trained.trained_run import TrainedRun
from mlplab.training.scoring.scores import Evaluation
from mlplab.training.stack import calibrate_and_test

pytestmark = pytest.mark.usefixtures("full_speed")

BASELINES = "baselines=[constant,linear]"
MOONS = ("data.function=moons", "data.rows=120")
KINDS: dict[str, tuple[str, ...]] = {
    "float64": (*SMALL, BASELINES, "trainer.precision=64", "optimizer.weight_averaging=true"),
    "no predictions": (*SMALL, BASELINES, "test_predictions=false"),
    "ensemble of classes": (*SMALL, BASELINES, *MOONS, "ensemble=3", "threshold=auto"),
}


def written(run: Path) -> dict[str, Any]:
    predictions = run / "test_predictions.csv"
    return {
        "metrics": metrics_of(run) | {"seconds": 0},
        "predictions": predictions.read_text() if predictions.exists() else None,
        "weights": {name: tensor.numpy().tobytes() for name, tensor in TrainedRun.read(run).state.items()},
    }


@pytest.mark.parametrize("kind", KINDS)
def test_a_finished_run_is_tested_as_at_its_end(tmp_path: Path, kind: str) -> None:
    untested = (*KINDS[kind], "test=false")
    train_into(tmp_path / "tested", KINDS[kind])
    train_into(tmp_path / "sweep", (*untested, "seed=1"), untested)  # the run is one of a stack
    run, expected = tmp_path / "sweep/1", written(tmp_path / "tested/0")
    found = written(run)
    before = {name: value for name, value in expected["metrics"].items() if "test/" not in name}
    assert found == {"metrics": before, "predictions": None, "weights": expected["weights"]}
    metrics = score_finished_run(run, DataCache())
    assert written(run) == expected
    assert metrics == metrics_of(run)


def test_a_network_sees_test_rows_when_tested(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    members: list[int] = []

    class Counted(Evaluation):
        def add(self, z: Tensor, batch: Batch, transform: TargetTransform) -> None:
            members.append(len(z))
            super().add(z, batch, transform)

    monkeypatch.setattr(calibrate_and_test, "Evaluation", Counted)
    train_into(tmp_path, (*SMALL, "test=false"))
    assert members == []
    for _ in range(2):  # then it has its scores
        score_finished_run(tmp_path / "0", DataCache())
        assert members == [1]
    runs = train_into(tmp_path / "stack", (*SMALL, "test=false"), (*SMALL, "seed=1"))
    assert members == [1, 2]
    assert [has_test_scores(metrics) for metrics in runs] == [False, True]
    folders = [tmp_path / "stack" / name for name in "01"]
    assert [(folder / "test_predictions.csv").exists() for folder in folders] == [False, True]
    assert varying_keys([read_run(folder) for folder in folders]) == []  # `test` is no part of a run
    assert differences(resolved(*SMALL), read_config(folders[0]), "") == []
    assert has_ended(folders[0], resolved(*SMALL))


def test_only_finished_runs_on_the_same_table_are_tested(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    (frame := pl.DataFrame({"x": range(60), "y": np.arange(60) % 7})).write_csv(table)
    train_into(tmp_path, ("data=csv", f"data.path={table}", "data.target=y", *SMALL[2:], "test=false"))
    run = RunFolder(tmp_path / "0")
    before = (run.path / "metrics.json").read_bytes()
    frame.with_columns(pl.col("y") + 1).write_csv(table)
    with pytest.raises(UserError, match="has changed since training"):
        score_finished_run(run.path, DataCache())
    assert (run.path / "metrics.json").read_bytes() == before
    assert not (run.path / ".lock").exists()
    frame.write_csv(table)
    with run.lock, pytest.raises(UserError, match="in use by another process"):
        score_finished_run(run.path, DataCache())
    run.write_metrics({"status": "interrupted"})
    with pytest.raises(UserError, match="contains no finished run"):
        score_finished_run(run.path, DataCache())
