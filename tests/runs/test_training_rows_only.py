"""Nothing is learned of rows that are not for training, or that have no weight."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from contracts import assert_close
from rich.console import Console
from support import resolved

from mlplab.data.cache import DataCache, RunData
from mlplab.runs.planned_run import PlannedRun
from mlplab.runs.train_runs import train_runs
from mlplab.runs.trained.trained_run import TrainedRun
from mlplab.training.run import Run
from mlplab.training.stack.build import build_stack

pytestmark = pytest.mark.usefixtures("full_speed")

ROWS = 200


def changed(data: RunData, rows: np.ndarray) -> RunData:
    table = data.table
    x, y = table.x.copy(), table.y.copy()
    x[rows] = np.where(np.array(table.schema.category_counts) > 0, 0, 1e9)
    y[rows] = 0 if table.schema.classes else 1e9
    return replace(data, table=replace(table, x=x, y=y))


@pytest.fixture(autouse=True)
def table(here: Path) -> None:
    draw = np.random.default_rng(0)
    a, y = draw.normal(size=(2, ROWS))
    columns = {
        "a": [None if row % 7 == 0 else value for row, value in enumerate(a)],
        "kind": np.array(["p", "q", "r"])[draw.integers(0, 3, ROWS)],
        "w": np.arange(ROWS) % 3 % 2,
        "y": y,
    }
    pl.DataFrame(columns).write_csv(here / "t.csv")


@pytest.mark.parametrize(
    "words",
    ["y model/preprocessing=quantile", "y model/preprocessing=standard", "kind data.class_weights=balanced"],
)
def test_statistics_are_those_of_the_training_rows(words: str) -> None:
    run = resolved("data=csv", "data.path=t.csv", *f"data.target={words}".split())
    data = DataCache().data(run)
    others = changed(data, np.setdiff1d(np.arange(ROWS), data.split.train))
    states = [build_stack([Run(run, each)])[0].network.preprocessing.state_dict() for each in (data, others)]
    assert_close(*states, 0)


@pytest.mark.parametrize("model", ["mlp y", "mlp kind", "realmlp kind", "tabm y", "linear kind"])
def test_rows_of_weight_0_change_nothing(model: str) -> None:
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
    assert_close(*states, 0)
