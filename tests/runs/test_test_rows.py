"""Runs with `test=false`, and the test of such a run after it has finished."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from support import SMALL, resolved, train_into
from torch import Tensor

from mlplab.data.batches.loader import Batch
from mlplab.data.cache import DataCache
from mlplab.errors import UserError
from mlplab.models.targets import TargetTransform
from mlplab.runs.compare.ranking import varying_keys
from mlplab.runs.compare.run_result import read_run
from mlplab.runs.discovery import has_test_scores, read_config
from mlplab.runs.folder import RunFolder
from mlplab.runs.resume import differences, has_ended
from mlplab.runs.train import score_finished_run
from mlplab.runs.trained.trained_run import TrainedRun
from mlplab.training.scoring.scores import Evaluation
from mlplab.training.stack import outcomes

pytestmark = pytest.mark.usefixtures("full_speed")

BASELINES = "baselines=[constant,linear]"
KINDS: dict[str, tuple[str, ...]] = {
    "float64": (*SMALL, BASELINES, "trainer.precision=64", "optimizer.weight_averaging=true"),
    "no predictions": (*SMALL, BASELINES, "test_predictions=false"),
    "ensemble of classes": (
        *("data=synthetic", "data.function=moons", "data.rows=120", *SMALL[2:], BASELINES),
        *("ensemble=3", "threshold=auto"),
    ),
}


def written(run: Path) -> dict[str, Any]:
    """What a run wrote about its test, and what it had before."""
    predictions = run / "test_predictions.csv"
    return {
        "metrics": json.loads((run / "metrics.json").read_text()) | {"seconds": 0},
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
    assert found["predictions"] is None
    assert found["weights"] == expected["weights"]
    assert found["metrics"] == {
        name: value for name, value in expected["metrics"].items() if "test/" not in name
    }
    metrics = score_finished_run(run, DataCache())
    assert written(run) == expected
    assert metrics == json.loads((run / "metrics.json").read_text())


@pytest.fixture
def tested_members(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of members in each batch of test rows that a network sees."""
    members: list[int] = []

    class Counted(Evaluation):
        def add(self, z: Tensor, batch: Batch, transform: TargetTransform) -> None:
            members.append(len(z))
            super().add(z, batch, transform)

    monkeypatch.setattr(outcomes, "Evaluation", Counted)
    return members


def test_the_network_does_not_see_the_test_rows(tmp_path: Path, tested_members: list[int]) -> None:
    train_into(tmp_path, (*SMALL, "test=false"), (*SMALL, "seed=1", "test=false"))
    assert tested_members == []
    score_finished_run(tmp_path / "1", DataCache())
    assert tested_members == [1]
    score_finished_run(tmp_path / "1", DataCache())
    assert tested_members == [1]  # it has its scores


def test_runs_of_a_stack_are_tested_if_they_are_to_be(tmp_path: Path, tested_members: list[int]) -> None:
    runs = train_into(tmp_path, (*SMALL, "test=false"), (*SMALL, "seed=1"))
    assert tested_members == [2]
    assert [has_test_scores(metrics) for metrics in runs] == [False, True]
    assert [(tmp_path / name / "test_predictions.csv").exists() for name in "01"] == [False, True]


def test_only_finished_runs_are_tested(tmp_path: Path) -> None:
    train_into(tmp_path, (*SMALL, "test=false"))
    run = RunFolder(tmp_path / "0")
    with run.lock, pytest.raises(UserError, match="in use by another process"):
        score_finished_run(run.path, DataCache())
    run.write_metrics({"status": "interrupted"})
    with pytest.raises(UserError, match="contains no finished run"):
        score_finished_run(run.path, DataCache())


def test_a_changed_table_is_not_tested(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    frame = pl.DataFrame({"x": range(60), "y": np.arange(60) % 7})
    frame.write_csv(table)
    run = ("data=csv", f"data.path={table}", "data.target=y", *SMALL[2:], "test=false")
    train_into(tmp_path / "runs", run)
    before = (tmp_path / "runs/0/metrics.json").read_bytes()
    frame.with_columns(pl.col("y") + 1).write_csv(table)
    with pytest.raises(UserError, match="has changed since training"):
        score_finished_run(tmp_path / "runs/0", DataCache())
    assert (tmp_path / "runs/0/metrics.json").read_bytes() == before
    assert not (tmp_path / "runs/0/.lock").exists()


def test_it_is_no_part_of_the_configuration(tmp_path: Path) -> None:
    train_into(tmp_path, (*SMALL, "test=false"), (*SMALL, "seed=1"))
    assert varying_keys([read_run(tmp_path / name) for name in "01"]) == []
    assert differences(resolved(*SMALL), read_config(tmp_path / "0"), "") == []
    assert has_ended(tmp_path / "0", resolved(*SMALL))
