"""No row on two sides, and nothing learned of rows that are not for training, whatever the split."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from rich.console import Console
from support import resolved

from mlplab.data.cache import DataCache, RunData
from mlplab.runs.planned_run import PlannedRun
from mlplab.runs.train import train_runs
from mlplab.runs.trained.trained_run import TrainedRun
from mlplab.training.run import Run
from mlplab.training.stack.build import build_stack

pytestmark = pytest.mark.usefixtures("full_speed")

ROWS = 200
SPLITS = {
    "random": (),
    "group": ("data/split=group", "data.split.group=customer"),
    "time": ("data/split=time", "data.split.time=when"),
    "file": ("data/split=file", "data.split.path=parts.txt"),
    "kfold": ("data/split=kfold", "data.split.fold=2"),
    "kfold of groups": ("data/split=kfold", "data.split.group=customer", "data.split.fold=1"),
    "kfold in time": ("data/split=kfold", "data.split.time=when", "data.split.fold=2"),
}


def changed(data: RunData, rows: np.ndarray) -> RunData:
    """The same with other values in these rows."""
    table = data.table
    x, y = table.x.copy(), table.y.copy()
    x[rows] = np.where(np.array(table.schema.category_counts) > 0, 0, 1e9)
    y[rows] = 0 if table.schema.classes else 1e9
    return replace(data, table=replace(table, x=x, y=y))


@pytest.fixture(autouse=True)
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pl.DataFrame:
    monkeypatch.chdir(tmp_path)
    draw = np.random.default_rng(0)
    a, y = draw.normal(size=(2, ROWS))
    columns = {
        "a": [None if row % 7 == 0 else value for row, value in enumerate(a)],
        "kind": np.array(["p", "q", "r"])[draw.integers(0, 3, ROWS)],
        "customer": [f"c{each}" for each in draw.integers(0, 25, ROWS)],
        "when": np.datetime64("2024-01-01") + draw.integers(0, 90, ROWS).astype("timedelta64[D]"),
        "y": y,
    }
    (frame := pl.DataFrame(columns)).write_csv("t.csv")
    Path("parts.txt").write_text("\n".join(np.array(["train", "val", "test"])[draw.integers(0, 3, ROWS)]))
    return frame


@pytest.mark.parametrize(
    ("split", "words"),
    [
        *((split, "data.target=y model/preprocessing=quantile") for split in SPLITS),
        ("random", "data.target=y model/preprocessing=standard"),
        ("random", "data.target=kind data.class_weights=balanced"),
    ],
)
def test_nothing_is_learned_of_other_rows(table: pl.DataFrame, split: str, words: str) -> None:
    run = resolved("data=csv", "data.path=t.csv", *words.split(), *SPLITS[split])
    data = DataCache().data(run)
    parts = [data.split.train, data.split.val, data.split.test]
    assigned = np.concatenate(parts)
    assert len(set(assigned.tolist())) == len(assigned)
    assert min(map(len, parts)) > 0
    if "group" in split:
        sides = [set(table["customer"][part.tolist()]) for part in parts]
        assert len(set.union(*sides)) == sum(map(len, sides))
    if "time" in split:
        train, val, test = (table["when"].to_numpy()[part] for part in parts)
        assert train.max() < val.min() <= val.max() < test.min()
    others = changed(data, np.setdiff1d(np.arange(ROWS), data.split.train))
    state, other = (
        build_stack([Run(run, each)]).module.network.preprocessing.state_dict() for each in (data, others)
    )
    assert state.keys() == other.keys()
    for name, tensor in state.items():
        assert torch.equal(tensor, other[name]), name


@pytest.mark.parametrize("model", ["mlp y", "mlp kind", "realmlp kind", "tabm y", "linear kind"])
def test_rows_of_weight_0_change_nothing(table: pl.DataFrame, model: str) -> None:
    table.with_columns(w=pl.int_range(pl.len()) % 3 % 2).write_csv("t.csv")
    name, target = model.split()
    words = ("data=csv", "data.path=t.csv", f"data.target={target}", "data.weight=w", f"model={name}")
    words += () if name == "linear" else ("model.hidden=[8]",)
    run = resolved(*words, "ensemble=1", "trainer.max_epochs=1", "baselines=[]", "logger=[]", "figures=none")
    cache, states = DataCache(), []
    for number in range(2):
        train_runs([PlannedRun(run, Path(f"{number}"))], cache, Console(quiet=True))
        states.append(TrainedRun.read(Path(f"{number}")).state)
        others = changed(data := cache.data(run), data.table.weight == 0)
        cache.data = lambda _, others=others: others  # type: ignore[method-assign]
    for tensor, other in zip(*(state.values() for state in states), strict=True):
        assert torch.equal(tensor, other)
