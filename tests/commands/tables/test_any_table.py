"""A table of all kinds of columns, trained, tested and predicted."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from commands.mistakes import Command
from support import metrics_of

import mlplab

ROWS = 150
NETWORK = ("data=csv", "data.path=t.csv", "model.hidden=[16,16]", "baselines=[]", "data.batch_size=50")
TRAIN = (*NETWORK, "trainer.max_epochs=40", "optimizer.lr=0.02", "data.target=[sales,staff]")


def mixed() -> pl.DataFrame:
    """Numbers, truth values, few categories and many, dates, all with holes; two targets and a weight."""
    draw = np.random.default_rng(0)
    shops, size, day = draw.integers(0, 20, ROWS), draw.normal(size=ROWS), draw.integers(0, 700, ROWS)
    frame = pl.DataFrame(
        {
            "size": size,
            "open": draw.integers(0, 2, ROWS).astype(bool),
            "colour": np.array(["red", "green", "blue"])[draw.integers(0, 3, ROWS)],
            "shop": [f"shop {each}" for each in shops],
            "day": np.datetime64("2023-01-01") + day.astype("timedelta64[D]"),
        }
    )
    holes = [pl.when(pl.Series(draw.random(ROWS) > 0.1)).then(name).alias(name) for name in frame.columns]
    return frame.with_columns(holes).with_columns(
        sales=pl.Series(size + 0.1 * shops + 0.1 * draw.normal(size=ROWS)),
        staff=pl.Series(3 - size),
        weight=pl.Series(draw.integers(1, 4, ROWS)),
        key=pl.Series(shops),
    )


def test_several_targets_are_trained_scored_and_predicted(
    command: Command, run_script: Command, tmp_path: Path
) -> None:
    frame, dropped = mixed(), "data.columns.key=drop"
    frame.write_csv(tmp_path / "t.csv")
    ended = command(*TRAIN, "data.weight=weight", dropped, "name=run")
    assert ended.status == 0, ended
    assert "5 columns → sales, staff" in ended.out
    run = tmp_path / "outputs/run"
    scores, schema = metrics_of(run), metrics_of(run, "schema")
    for name in ("rmse", "mae", "r2"):
        each = [scores[f"test/{name}/{target}"] for target in ("sales", "staff")]
        assert scores[f"test/{name}"] == pytest.approx(np.mean(each))
    assert min(scores["test/r2/sales"], scores["test/r2/staff"]) > 0.3
    kinds = [(column["name"], column["kind"]) for column in schema["inputs"]]
    assert kinds[:3] == [("size", "numeric"), ("open", "boolean"), ("colour", "categorical")]
    assert kinds[3:] == [("shop", "categorical"), ("day", "date")]
    assert schema["left_out"] == {"key": "as declared in data.columns"}
    assert run_script("evaluate", "run=outputs/run").status == 0
    again = metrics_of(run, "evaluation")
    assert all(scores[name] == value for name, value in again.items() if name.startswith("test/"))
    assert run_script("predict", "run=outputs/run", "input=t.csv", "output=p.csv").status == 0
    predicted = pl.read_csv(tmp_path / "p.csv")
    assert predicted.columns[-2:] == ["prediction_sales", "prediction_staff"]
    np.testing.assert_allclose(mlplab.load(run).predict(frame), predicted[:, -2:].to_numpy(), rtol=1e-12)
    refused = command("resume=outputs/run", "data.columns.key=numeric")
    assert refused.status == 2
    assert "data.columns.key: differs from the resumed run (found 'numeric'" in refused.err
