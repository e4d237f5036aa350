"""A table of all kinds of columns, trained, tested and predicted."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from support import Ended

import mlplab

ROWS = 150
NETWORK = ("data=csv", "data.path=t.csv", "model.hidden=[16,16]", "baselines=[]")
TRAIN = (*NETWORK, "data.batch_size=50", "trainer.max_epochs=40", "optimizer.lr=0.02")
WHOLE = (*NETWORK, "data.batch_size=null", "trainer.max_epochs=2", "model/preprocessing=none")


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


def metrics(folder: Path) -> dict[str, float]:
    return json.loads((folder / "metrics.json").read_text())  # type: ignore[no-any-return]


def test_several_targets_are_trained_scored_and_predicted(
    command: Callable[..., Ended], run_script: Callable[..., Ended], tmp_path: Path
) -> None:
    frame, dropped = mixed(), "data.columns.key=drop"
    frame.write_csv(tmp_path / "t.csv")
    ended = command(*TRAIN, "data.target=[sales,staff]", "data.weight=weight", dropped, "name=run")
    assert ended.status == 0, ended
    assert "5 columns → sales, staff" in ended.out
    scores = metrics(tmp_path / "outputs/run")
    for name in ("rmse", "mae", "r2"):
        each = [scores[f"test/{name}/{target}"] for target in ("sales", "staff")]
        assert scores[f"test/{name}"] == pytest.approx(np.mean(each))
    assert min(scores["test/r2/sales"], scores["test/r2/staff"]) > 0.3
    schema = json.loads((tmp_path / "outputs/run/schema.json").read_text())
    kinds = [(column["name"], column["kind"]) for column in schema["inputs"]]
    assert kinds[:3] == [("size", "numeric"), ("open", "boolean"), ("colour", "categorical")]
    assert kinds[3:] == [("shop", "categorical"), ("day", "date")]
    assert schema["inputs"][2]["categories"] == ["blue", "green", "red"]
    assert schema["targets"] == ["sales", "staff"]
    assert schema["left_out"] == {"key": "as declared in data.columns"}
    assert run_script("evaluate", "run=outputs/run").status == 0
    again = json.loads((tmp_path / "outputs/run/evaluation.json").read_text())
    assert all(scores[name] == value for name, value in again.items() if name.startswith("test/"))
    assert run_script("predict", "run=outputs/run", "input=t.csv", "output=p.csv").status == 0
    predicted = pl.read_csv(tmp_path / "p.csv")
    assert predicted.columns[-2:] == ["prediction_sales", "prediction_staff"]
    in_python = mlplab.load(tmp_path / "outputs/run").predict(frame)
    np.testing.assert_allclose(in_python, predicted[:, -2:].to_numpy(), rtol=1e-12)
    assert command("resume=outputs/run", dropped, "data.weight=weight").status == 0
    refused = command("resume=outputs/run", "data.columns.key=numeric")
    assert refused.status == 2
    assert "data.columns.key: differs from the resumed run (found 'numeric'" in refused.err


def test_rows_of_no_weight_change_nothing(command: Callable[..., Ended], tmp_path: Path) -> None:
    frame = mixed().drop_nulls()
    parts = ["train", "val", "test", "train", "train", "train"] * len(frame)
    (tmp_path / "parts.txt").write_text("\n".join(parts[: len(frame)]))
    odd = pl.int_range(pl.len()) % 6 == 4
    train = ("data.target=sales", "data.weight=weight", "data/split=file", "data.split.path=parts.txt")
    unweighted = frame.with_columns(weight=pl.when(odd).then(0).otherwise("weight"))
    for name, added in (("a", 0), ("b", 100)):
        changed = unweighted.with_columns(sales=pl.col("sales") + pl.when(odd).then(added).otherwise(0))
        changed.write_csv(tmp_path / "t.csv")
        assert command(*WHOLE, *train, f"name={name}").status == 0
    one, other = (metrics(tmp_path / "outputs" / name) for name in "ab")
    for name in ("train/loss", "val/loss", "val/r2", "test/rmse", "test/mae"):
        assert one[name] == pytest.approx(other[name], rel=1e-5), name
