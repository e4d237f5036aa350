"""A table of all kinds of columns, trained, tested and predicted."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from commands.mistakes import Command
from commands.people import people
from support import metrics_of

import mlplab

NETWORK = ("data=csv", "data.path=t.csv", "model.hidden=[16,16]", "baselines=[]", "data.batch_size=50")
TRAIN = (*NETWORK, "trainer.max_epochs=40", "optimizer.lr=0.02", "data.target=[price,staff]")


def test_several_targets_are_trained_scored_and_predicted(
    command: Command, run_script: Command, tmp_path: Path
) -> None:
    dropped = "data.columns.bought=drop"
    frame = people(rows=150).with_columns(staff=3 - pl.col("size").fill_null(0))
    frame.write_csv(tmp_path / "t.csv")
    ended = command(*TRAIN, "data.weight=weight", dropped, "name=run")
    assert ended.status == 0, ended
    assert "5 columns → price, staff" in ended.out
    run = tmp_path / "outputs/run"
    scores, schema = metrics_of(run), metrics_of(run, "schema")
    for name in ("rmse", "mae", "r2"):
        each = [scores[f"test/{name}/{target}"] for target in ("price", "staff")]
        assert scores[f"test/{name}"] == pytest.approx(np.mean(each))
    assert min(scores["test/r2/price"], scores["test/r2/staff"]) > 0.3
    kinds = [(column["name"], column["kind"]) for column in schema["inputs"]]
    assert kinds[:3] == [("size", "numeric"), ("colour", "categorical"), ("day", "date")]
    assert kinds[3:] == [("member", "boolean"), ("shop", "categorical")]
    assert schema["left_out"] == {"bought": "as declared in data.columns"}
    assert run_script("evaluate", "run=outputs/run").status == 0
    again = metrics_of(run, "evaluation")
    assert all(scores[name] == value for name, value in again.items() if name.startswith("test/"))
    assert run_script("predict", "run=outputs/run", "input=t.csv", "output=p.csv").status == 0
    predicted = pl.read_csv(tmp_path / "p.csv")
    assert predicted.columns[-2:] == ["prediction_price", "prediction_staff"]
    np.testing.assert_allclose(mlplab.load(run).predict(frame), predicted[:, -2:].to_numpy(), rtol=1e-12)
    refused = command("resume=outputs/run", "data.columns.bought=categorical")
    assert refused.status == 2
    assert "data.columns.bought: differs from the resumed run (found 'categorical'" in refused.err
