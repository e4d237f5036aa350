"""Nothing is learned of rows that are not for training, or that have no weight."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
import pytest
from contracts import assert_close
from hypothesis import given, settings
from hypothesis import strategies as st
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


BOUNDS = st.floats(-1e7, 1e7)


@settings(max_examples=6, deadline=None)
@given(low=BOUNDS, high=BOUNDS, seed=st.integers(0, 99), target=st.sampled_from(["y", "kind"]))
def test_what_test_rows_hold_changes_no_bit(low: float, high: float, seed: int, target: str) -> None:
    """Other numbers and missing cells; dates, categories and classes of those that the others have, too."""
    draw, number = np.random.default_rng(seed), np.arange(ROWS)
    parts = np.array(["test", "val", "train", "train", "train"])[number % 5]
    Path("split.txt").write_text("\n".join(parts))
    one = pl.read_csv("t.csv").with_columns(
        pl.col("w").cast(pl.Float64),
        lake=1e6 + 7 * pl.col("y"),  # it has an offset
        day=pl.date(2024, 1, 1) + pl.duration(days=pl.Series(number * 37 % 400)),
    )
    numbers = pl.DataFrame({name: low + (high - low) * draw.random(ROWS) for name in ("a", "lake", "w", "y")})
    other = one.with_columns(*numbers, pl.col("kind", "day").shuffle(seed))
    mixed = (
        pl.when(parts == "test").then(other[name]).otherwise(one[name]).alias(name) for name in one.columns
    )
    words = (
        "data=csv",
        f"data.target={target}",
        "data/split=file",
        "data.split.path=split.txt",
        "ensemble=2",
    )
    words += ("model.hidden=[8]", "trainer.max_epochs=2", "baselines=[]", "logger=[]", "figures=none")
    states = []
    with TemporaryDirectory() as name:
        for folder, frame in ((Path(name, "one"), one), (Path(name, "other"), one.select(mixed))):
            frame.write_csv(path := folder.with_suffix(".csv"))
            run, cache = resolved(*words, f"data.path={path}"), DataCache()
            train_runs([PlannedRun(run, folder)], cache, Console(quiet=True))
            trained = TrainedRun.read(folder)
            states.append(trained.state)
            assert "lake" in trained.schema.column_offsets
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
