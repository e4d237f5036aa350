"""No row on two sides, and nothing learned of rows that are not for training, whatever the split."""

from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from rich.console import Console
from support import resolved

from mlplab.config import TrainConfig
from mlplab.data.cache import DataCache, RunData
from mlplab.runs.planned_run import PlannedRun
from mlplab.runs.train import train_runs
from mlplab.runs.trained.trained_run import TrainedRun
from mlplab.training.run import Run
from mlplab.training.stack.build import Stack, build_stack

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


def changed(data: RunData) -> RunData:
    """The same with other values in the rows that are not for training."""
    table = data.table
    x, y = table.x.copy(), table.y.copy()
    rows = np.setdiff1d(np.arange(len(x)), data.split.train)
    x[rows], y[rows] = np.where(np.array(table.schema.category_counts) > 0, 0, 1e9), 1e9
    if table.schema.classes:
        y[rows] = 0
    return replace(data, table=replace(table, x=x, y=y))


@pytest.fixture(autouse=True)
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pl.DataFrame:
    monkeypatch.chdir(tmp_path)
    draw = np.random.default_rng(0)
    frame = pl.DataFrame(
        {
            "a": draw.normal(size=ROWS),
            "kind": np.array(["p", "q", "r"])[draw.integers(0, 3, ROWS)],
            "customer": [f"c{each}" for each in draw.integers(0, 25, ROWS)],
            "when": np.datetime64("2024-01-01") + draw.integers(0, 90, ROWS).astype("timedelta64[D]"),
            "y": draw.normal(size=ROWS),
        }
    ).with_columns(a=pl.when(pl.int_range(pl.len()) % 7 > 0).then("a"))
    frame.write_csv("t.csv")
    Path("parts.txt").write_text("\n".join(np.array(["train", "val", "test"])[draw.integers(0, 3, ROWS)]))
    return frame


@pytest.mark.parametrize(
    ("split", "preprocessing"), [*((split, "quantile") for split in SPLITS), ("random", "standard")]
)
def test_nothing_is_learned_of_other_rows(table: pl.DataFrame, split: str, preprocessing: str) -> None:
    run = resolved(
        "data=csv", "data.path=t.csv", "data.target=y", f"model/preprocessing={preprocessing}", *SPLITS[split]
    )
    data = DataCache().data(run)
    stack, other_stack = build_stack([Run(run, data)]), build_stack([Run(run, changed(data))])
    parts = data.split
    assigned = np.concatenate([parts.train, parts.val, parts.test])
    assert len(set(assigned.tolist())) == len(assigned)
    assert min(map(len, (parts.train, parts.val, parts.test))) > 0
    if "group" in split:
        sides = [set(table["customer"][part.tolist()]) for part in (parts.train, parts.val, parts.test)]
        assert len(set.union(*sides)) == sum(map(len, sides))
    if "time" in split:
        assert table["when"][parts.train.tolist()].max() < table["when"][parts.val.tolist()].min()  # type: ignore[operator]
        assert table["when"][parts.val.tolist()].max() < table["when"][parts.test.tolist()].min()  # type: ignore[operator]
    assert_same_preprocessing(stack, other_stack)


def test_no_class_weight_is_learned_of_other_rows() -> None:
    table = ("data=csv", "data.path=t.csv", "data.target=kind", "data.class_weights=balanced")
    run = resolved(*table)
    data = DataCache().data(run)
    assert_same_preprocessing(build_stack([Run(run, data)]), build_stack([Run(run, changed(data))]))


class WithoutWeight(DataCache):
    """Tables in which rows of weight 0 have other values."""

    def data(self, run: TrainConfig) -> RunData:
        data = super().data(run)
        assert data.table.weight is not None
        x, y, rows = data.table.x.copy(), data.table.y.copy(), data.table.weight == 0
        x[rows], y[rows] = np.where(np.array(data.table.schema.category_counts) > 0, 0, 1e9), 0
        return replace(data, table=replace(data.table, x=x, y=y))


@pytest.mark.parametrize(
    ("model", "target"),
    [("mlp", "y"), ("mlp", "kind"), ("realmlp", "kind"), ("tabm", "y"), ("linear", "kind")],
)
def test_rows_of_weight_0_change_nothing(table: pl.DataFrame, model: str, target: str) -> None:
    table.with_columns(w=pl.int_range(pl.len()) % 3 % 2).write_csv("t.csv")
    small = () if model == "linear" else ("model.hidden=[8]",)
    words = (
        "data=csv",
        "data.path=t.csv",
        f"data.target={target}",
        "data.weight=w",
        f"model={model}",
        *small,
    )
    run = resolved(*words, "ensemble=1", "trainer.max_epochs=1", "baselines=[]", "logger=[]", "figures=none")
    for cache in (DataCache(), WithoutWeight()):
        train_runs([PlannedRun(run, Path(type(cache).__name__))], cache, Console(file=StringIO()))
    states = [TrainedRun.read(Path(cache.__name__)).state for cache in (DataCache, WithoutWeight)]
    for name, tensor in states[0].items():
        assert torch.equal(tensor, states[1][name]), name


def assert_same_preprocessing(one: Stack, other: Stack) -> None:
    state, others = (each.module.network.preprocessing.state_dict() for each in (one, other))
    assert state.keys() == others.keys()
    for name, tensor in state.items():
        assert torch.equal(tensor, others[name]), name
