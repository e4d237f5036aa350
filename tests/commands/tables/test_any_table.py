"""Tables of all kinds of columns, trained, tested and predicted."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from support import Ended

import mlplab

ROWS = 300
NETWORK = ("data=csv", "data.path=t.csv", "model.hidden=[16,16]", "baselines=[]")
TRAIN = (*NETWORK, "data.batch_size=50", "trainer.max_epochs=4")
LONGER = (*NETWORK, "data.batch_size=50", "trainer.max_epochs=40", "optimizer.lr=0.02")
WHOLE = (*NETWORK, "data.batch_size=null", "trainer.max_epochs=4", "model/preprocessing=none")


def mixed() -> pl.DataFrame:
    """Numbers, truth values, few categories and many, dates, all with holes; two targets and a weight."""
    draw = np.random.default_rng(0)
    shops = draw.integers(0, 40, ROWS)
    worth = draw.normal(size=40)
    size, day = draw.normal(size=ROWS), draw.integers(0, 700, ROWS)
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
        sales=pl.Series(size + worth[shops] + np.sin(2 * np.pi * day / 365) + 0.1 * draw.normal(size=ROWS)),
        staff=pl.Series(3 + size - 0.5 * np.sin(2 * np.pi * day / 365)),
        weight=pl.Series(draw.integers(1, 4, ROWS)),
    )


@pytest.fixture(autouse=True)
def table(tmp_path: Path) -> pl.DataFrame:
    frame = mixed()
    frame.write_csv(tmp_path / "t.csv")
    return frame


def metrics(folder: Path) -> dict[str, float]:
    return json.loads((folder / "metrics.json").read_text())  # type: ignore[no-any-return]


def test_several_targets(
    command: Callable[..., Ended], run_script: Callable[..., Ended], tmp_path: Path
) -> None:
    ended = command(*LONGER, "data.target=[sales,staff]", "data.weight=weight", "name=run")
    assert ended.status == 0, ended
    assert "5 columns → sales, staff" in ended.out
    scores = metrics(tmp_path / "outputs/run")
    for name in ("rmse", "mae", "r2"):
        each = [scores[f"test/{name}/{target}"] for target in ("sales", "staff")]
        assert scores[f"test/{name}"] == pytest.approx(np.mean(each))
    for target in ("sales", "staff"):
        assert scores[f"test/r2/{target}"] > 0.5
    assert run_script("evaluate", "run=outputs/run").status == 0
    again = json.loads((tmp_path / "outputs/run/evaluation.json").read_text())
    assert all(scores[name] == value for name, value in again.items() if name.startswith("test/"))
    assert run_script("predict", "run=outputs/run", "input=t.csv", "output=p.csv").status == 0
    predicted = pl.read_csv(tmp_path / "p.csv")
    assert predicted.columns[-2:] == ["prediction_sales", "prediction_staff"]
    run = mlplab.load(tmp_path / "outputs/run")
    np.testing.assert_allclose(
        run.predict(mixed()), predicted.select("prediction_sales", "prediction_staff").to_numpy(), rtol=1e-12
    )


def test_rows_of_no_weight_change_nothing(command: Callable[..., Ended], tmp_path: Path) -> None:
    frame = mixed().drop_nulls()
    rows = len(frame)
    parts = ["train", "val", "test", "train", "train", "train"] * rows
    (tmp_path / "parts.txt").write_text("\n".join(parts[:rows]))
    odd = pl.int_range(pl.len()) % 6 == 4
    frame.with_columns(weight=pl.when(odd).then(0).otherwise("weight")).write_csv(tmp_path / "t.csv")
    train = ("data.target=sales", "data.weight=weight", "data/split=file", "data.split.path=parts.txt")
    assert command(*WHOLE, *train, "name=a").status == 0
    changed = pl.when(odd).then(pl.col("sales") + 100).otherwise("sales")
    pl.read_csv(tmp_path / "t.csv").with_columns(sales=changed).write_csv(tmp_path / "t.csv")
    assert command(*WHOLE, *train, "name=b").status == 0
    one, other = (metrics(tmp_path / "outputs" / name) for name in "ab")
    for name in ("train/loss", "val/loss", "val/r2", "test/rmse", "test/mae"):
        assert one[name] == pytest.approx(other[name], rel=1e-5), name


def test_the_logarithm_of_a_target(command: Callable[..., Ended], tmp_path: Path) -> None:
    draw = np.random.default_rng(2)
    x = draw.normal(size=ROWS)
    pl.DataFrame({"x": x, "y": np.exp(3 * x)}).write_csv(tmp_path / "t.csv")
    assert command(*LONGER, "data.target=y", "model.preprocessing.target=log", "name=log").status == 0
    run = mlplab.load(tmp_path / "outputs/log")
    predicted = run.predict({"x": [-2.0, 0.0, 2.0]})
    np.testing.assert_allclose(np.log(predicted), [-6, 0, 6], atol=0.5)


def test_schema_json_says_how_columns_were_read_and_resuming_may_not_contradict(
    command: Callable[..., Ended], tmp_path: Path
) -> None:
    assert command(*TRAIN, "data.target=sales", "data.columns.staff=drop", "name=run").status == 0
    schema = json.loads((tmp_path / "outputs/run/schema.json").read_text())
    kinds = {column["name"]: column["kind"] for column in schema["inputs"]}
    assert kinds == {
        "size": "numeric",
        "open": "boolean",
        "colour": "categorical",
        "shop": "categorical",
        "day": "date",
        "weight": "numeric",
    }
    assert schema["inputs"][2]["categories"] == ["blue", "green", "red"]
    assert schema["targets"] == ["sales"]
    assert schema["left_out"] == {"staff": "as declared in data.columns"}
    assert command("resume=outputs/run", "data.columns.staff=drop", "data.target=sales").status == 0
    refused = command("resume=outputs/run", "data.columns.staff=numeric")
    assert refused.status == 2
    assert "data.columns.staff: differs from the resumed run (found 'numeric'" in refused.err
