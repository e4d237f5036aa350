"""Graphs of steps give the bits of the steps. On a CPU, functions that are called again stand for them."""

import io
import logging
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from rich.console import Console
from support import resolved, train_into
from torch import Tensor

from mlplab.data.cache import DataCache
from mlplab.errors import Interrupted
from mlplab.models import linear_path
from mlplab.runs import checkpoint
from mlplab.runs.planned_run import PlannedRun
from mlplab.runs.train import train_runs
from mlplab.training import step_graphs, step_loop
from mlplab.training.callbacks.stop_on_signal import StopOnSignal
from mlplab.training.fit import StackTrainer
from mlplab.training.optimization import schedules
from mlplab.training.step_loop import StepLoop

pytestmark = pytest.mark.usefixtures("full_speed")

EPOCHS, BATCH, ROWS = 3, 16, 100
SHARED = (
    *(
        "data=csv",
        "data.path=rows.csv",
        "data.target=y",
        "data.weight=w",
        f"data.batch_size={BATCH}",
        "model.hidden=[6,5]",
    ),
    *("model.preprocessing.one_hot_max_categories=2", f"trainer.max_epochs={EPOCHS}"),
    *("logger=[]", "baselines=[]"),
)
MEMBERS = (["seed=0", "optimizer.lr=0.01"], ["seed=1", "optimizer.lr=0.003"], ["seed=2", "optimizer.lr=0.01"])
ONE_HOT = ("model.preprocessing.one_hot_max_categories=16",)
GPU = ("trainer.accelerator=cuda", *ONE_HOT)
SETTINGS = {
    "adam, clipped": ["optimizer=adam", "trainer.gradient_clip_val=0.1", "optimizer.weight_decay=0.1"],
    "adamw, averaged": ["optimizer=adamw", "optimizer.weight_averaging=true", "model.linear_path=true"],
    "momentum": [
        "model.norm=layer",
        "optimizer=sgd",
        "scheduler.warmup=0.5",
        "loss=huber",
        "optimizer.weight_averaging=true",
    ],
    "nesterov, 64": ["optimizer=sgd", "optimizer.nesterov=true", "trainer.precision=64", *ONE_HOT],
    "groups, flat_cos": [
        *("optimizer.lr_factors.biases=0.1", "optimizer.weight_decay_factors.biases=0", "scheduler=coslog"),
        *("scheduler.regularization=flat_cos", "optimizer.lr_by_fan_in=true"),
    ],
    "flat_cos of gradients": [
        "optimizer=sgd",
        "scheduler.regularization=flat_cos",
        "optimizer.weight_decay=0.1",
    ],
    "plain sgd": ["optimizer=sgd", "optimizer.momentum=0", "scheduler=constant", "model.hidden=[]"],
}
INPUTS = (
    "x",
    "rows of embeddings",
    "y",
    "weights of rows",
    "output of the linear path",
    "number of the step",
    "share in the average",
    "lr",
    "regularization",
)
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")


class Again:
    """Captures by noting the function, and replays by calling it."""

    captures = 0

    def __call__(
        self, function: Callable[..., Tensor], arguments: Sequence[Tensor]
    ) -> tuple[Callable[[], object], Tensor]:
        Again.captures += 1
        result = function(*arguments).clone()
        return (lambda: result.copy_(function(*arguments))), result


@pytest.fixture(autouse=True)
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    source = np.random.default_rng(0)
    x = source.normal(size=(ROWS, 3))
    pl.DataFrame(
        {
            **{f"x{column}": values for column, values in enumerate(x.T)},
            "category": [f"c{each}" for each in source.integers(0, 9, ROWS)],
            "w": source.integers(1, 4, ROWS),
            "y": x[:, 0] + 0.3 * source.normal(size=ROWS),
        }
    ).write_csv("rows.csv")


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps on the CPU get tensors, as on a GPU, and `Again` stands for CUDA graphs."""
    monkeypatch.setattr(linear_path, "EXACT", 10)  # so that it adds to the output in training
    monkeypatch.setattr(Again, "captures", 0)
    monkeypatch.setattr(step_graphs, "Capture", Again)
    for module in (schedules, step_loop):
        monkeypatch.setattr(module, "TENSOR_DEVICES", {"cpu"})


def states(folder: str, *members: Sequence[str], added: Sequence[str] = ()) -> list[dict[str, Tensor]]:
    """What the checkpoints of runs that train as one stack hold."""
    train_into(Path(folder), *([*SHARED, *member, *added] for member in members))
    return loaded(folder, len(members))


def loaded(folder: str, members: int) -> list[dict[str, Tensor]]:
    paths = [f"{folder}/{number}/checkpoints" for number in range(members)]
    return [
        checkpoint.load(Path(f"{path}/{name}.ckpt"))["state"] for path in paths for name in ("best", "last")
    ]


def assert_equal(some: Sequence[dict[str, Tensor]], others: Sequence[dict[str, Tensor]]) -> None:
    for one, other in zip(some, others, strict=True):
        assert one.keys() == other.keys()
        assert all(torch.equal(values, other[name]) for name, values in one.items())


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("settings", SETTINGS)
def test_graphs_give_the_bits_of_the_trainers_steps(
    monkeypatch: pytest.MonkeyPatch, settings: str, parts: int
) -> None:
    if parts > 1:
        monkeypatch.setattr(step_loop, "CACHE_BYTES", 1)
        monkeypatch.setattr(step_loop, "TOGETHER", 3)
    members = [[*SETTINGS[settings], *member] for member in MEMBERS]
    by_graphs = states("graphs", *members)
    assert Again.captures == parts
    assert_equal(by_graphs, states("steps", *members, added=["trainer.block=1"]))


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize(
    ("settings", "dropout", "captures"), [("adamw, averaged", 0, 2), ("groups, flat_cos", 0.3, 0)]
)
def test_a_resumed_run_gives_the_same_by_graphs(
    monkeypatch: pytest.MonkeyPatch, settings: str, dropout: float, captures: int
) -> None:
    overrides = [*SHARED, *SETTINGS[settings], *MEMBERS[0], f"model.dropout={dropout}"]
    cache, on_step = DataCache(), StopOnSignal.on_step

    def stop(self: StopOnSignal, stack: StackTrainer) -> None:
        if stack.trainer.global_step == 7:
            self.received = signal.SIGTERM
        on_step(self, stack)

    def train(*, resume: bool) -> None:
        run = PlannedRun(resolved(*overrides, cache=cache), Path("resumed/0"), resume=resume)
        train_runs([run], cache, Console(file=io.StringIO()))

    with monkeypatch.context() as patch:
        patch.setattr(StopOnSignal, "on_step", stop)
        with pytest.raises(Interrupted):
            train(resume=False)
    train(resume=True)
    assert Again.captures == captures
    assert_equal(loaded("resumed", 1), states("steps", overrides, added=["trainer.block=1"]))


@pytest.mark.usefixtures("no_gpu")
def test_members_that_no_longer_have_the_same_rates_get_a_new_graph() -> None:
    members = [["scheduler=constant"], ["scheduler=step", "scheduler.step_size=1"]]
    by_graphs = states("graphs", *members)
    assert Again.captures == 2
    assert_equal(by_graphs, states("steps", *members, added=["trainer.block=1"]))


@pytest.mark.usefixtures("no_gpu")
def test_dropout_is_no_part_of_a_graph() -> None:
    states("dropout", ["model.dropout=0.1"])
    assert Again.captures == 0


def test_on_a_cpu_there_are_none(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "mlplab"):
        states("steps", MEMBERS[0])  # which could not capture any
    assert "CUDA" not in caplog.text


def assert_falls_back(caplog: pytest.LogCaptureFixture, reason: str) -> None:
    """A run by such graphs says once that it goes on without them, and gives the bits of the steps."""
    members = [
        [*SETTINGS["adamw, averaged"], "scheduler.regularization=flat_cos", *member] for member in MEMBERS
    ]
    with caplog.at_level(logging.INFO, "mlplab"):
        by_graphs = states("graphs", *members)
    lines = [each.getMessage() for each in caplog.records if "CUDA" in each.getMessage()]
    assert lines == [f"training goes on without CUDA graphs, with the same results: RuntimeError: {reason}"]
    assert_equal(by_graphs, states("steps", *members, added=["trainer.block=1"]))


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize("forgotten", range(len(INPUTS)), ids=INPUTS.__getitem__)
def test_a_graph_that_misses_an_input_is_not_used(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, forgotten: int
) -> None:
    def call(self: Again, function: Callable[..., Tensor], arguments: Sequence[Tensor]) -> Any:
        kept = [each.clone() if index == forgotten else each for index, each in enumerate(arguments)]
        return again(self, function, kept)

    again = Again.__call__
    monkeypatch.setattr(Again, "__call__", call)
    assert_falls_back(caplog, "the steps of a graph give other bits")


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize("replays", [None, 0, 2, 12])
def test_after_an_exception_in_a_graph_the_steps_go_on(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, replays: int | None
) -> None:
    """In the capture itself (None), or after so many replays."""

    def call(self: Again, function: Callable[..., Tensor], arguments: Sequence[Tensor]) -> Any:
        replay, result = again(self, function, arguments)
        left = iter(range(replays or 0))

        def limited() -> None:
            if next(left, None) is None:
                raise RuntimeError("operation not permitted\nwhen stream is capturing")
            replay()

        if replays is None:
            try:
                limited()
            finally:
                raise RuntimeError("failed due to a previous error during capture")
        return limited, result

    again = Again.__call__
    monkeypatch.setattr(Again, "__call__", call)
    assert_falls_back(caplog, "operation not permitted")


@needs_gpu
@pytest.mark.parametrize("settings", SETTINGS)
def test_cuda_graphs_give_the_bits_of_the_trainers_steps(
    caplog: pytest.LogCaptureFixture, settings: str
) -> None:
    members = [[*SETTINGS[settings], *member] for member in MEMBERS]
    with caplog.at_level(logging.INFO, "mlplab"):
        by_graphs = states("graphs", *members, added=GPU)
    assert "without CUDA graphs" not in caplog.text
    assert_equal(by_graphs, states("steps", *members, added=[*GPU, "trainer.block=1"]))


@needs_gpu
def test_no_step_of_a_block_waits_for_the_gpu(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    advance, steps = StepLoop.advance, []

    def advance_without_waiting(self: StepLoop, most: int) -> int:
        torch.cuda.set_sync_debug_mode("error" if steps else "default")  # a capture waits
        try:
            steps.append(advance(self, most))
        finally:
            torch.cuda.set_sync_debug_mode("default")
        return steps[-1]

    monkeypatch.setattr(StepLoop, "advance", advance_without_waiting)
    with caplog.at_level(logging.INFO, "mlplab"):
        states("graphs", *MEMBERS, added=[*GPU, "loss=huber"])
    assert len(steps) > 1
    assert "without CUDA graphs" not in caplog.text
