"""A graph of steps gives the bits of the steps. On a CPU, a function that is called again stands for it."""

import io
import logging
import signal
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from rich.console import Console
from support import resolved
from torch import Tensor

from mlplab.data.cache import DataCache
from mlplab.errors import Interrupted
from mlplab.models import linear_path
from mlplab.runs import checkpoint
from mlplab.runs.planned_run import PlannedRun
from mlplab.runs.train import train_runs
from mlplab.training import step_graphs, step_loop
from mlplab.training.callbacks.stopping import StopOnSignal
from mlplab.training.fit import Observer, StackTrainer, fit
from mlplab.training.optimization import schedules
from mlplab.training.outcome import Outcome
from mlplab.training.run import Run
from mlplab.training.step_graphs import StepGraph
from mlplab.training.step_loop import StepLoop

pytestmark = pytest.mark.usefixtures("full_speed")

EPOCHS, ROWS = 2, 60
SHARED = (
    *("data=csv", "data.path=rows.csv", "data.target=y", "data.weight=w", "data.batch_size=16"),
    *("model.hidden=[6,5]", "model.preprocessing.one_hot_max_categories=2", f"trainer.max_epochs={EPOCHS}"),
    *("logger=[]", "baselines=[]"),
)
MEMBERS = (["seed=0", "optimizer.lr=0.01"], ["seed=1", "optimizer.lr=0.003"], ["seed=2", "optimizer.lr=0.01"])
ONE_HOT = "model.preprocessing.one_hot_max_categories=16"
AVERAGED = ["optimizer=adamw", "optimizer.weight_averaging=true", "model.linear_path=true"]
SETTINGS = {
    "adam, clipped": ["optimizer=adam", "trainer.gradient_clip_val=0.1", "optimizer.weight_decay=0.1"],
    "adamw, averaged": AVERAGED,
    "momentum": [
        *("model.norm=layer", "optimizer=sgd", "scheduler.warmup=0.5", "loss=huber"),
        "optimizer.weight_averaging=true",
    ],
    "nesterov, 64": [
        *("optimizer=sgd", "optimizer.nesterov=true", "trainer.precision=64", ONE_HOT),
        *("scheduler.regularization=flat_cos", "optimizer.weight_decay=0.1"),
    ],
    "groups, flat_cos": [
        *("optimizer.lr_factors.biases=0.1", "optimizer.weight_decay_factors.biases=0", "scheduler=coslog"),
        *("scheduler.regularization=flat_cos", "optimizer.lr_by_fan_in=true"),
    ],
    "plain sgd": ["optimizer=sgd", "optimizer.momentum=0", "scheduler=constant", "model.hidden=[]"],
}
INPUTS = 9  # x, rows of embeddings, y, row weights, linear path; number, average share, lr, regularization
Capture = tuple[Callable[[], object], Tensor]
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")


def again(function: Callable[..., Tensor], arguments: Sequence[Tensor]) -> Capture:
    """Captures by noting the function, and replays by calling it."""
    result = function(*arguments).clone()
    return (lambda: result.copy_(function(*arguments))), result


@pytest.fixture(autouse=True)
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    source = np.random.default_rng(0)
    x = source.normal(size=(ROWS, 3))
    columns = {f"x{column}": values for column, values in enumerate(x.T)}
    columns |= {"w": source.integers(1, 4, ROWS), "y": x[:, 0] + 0.3 * source.normal(size=ROWS)}
    category = pl.Series("category", [f"c{each}" for each in source.integers(0, 9, ROWS)])
    pl.DataFrame(columns).with_columns(category).write_csv("rows.csv")


@pytest.fixture
def captures(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Steps on the CPU get tensors, as on a GPU; the number of tensors of each step that is captured."""
    counts: list[int] = []

    def counted(function: Callable[..., Tensor], arguments: Sequence[Tensor]) -> Capture:
        counts.append(len(arguments))
        return again(function, arguments)

    monkeypatch.setattr(linear_path, "EXACT", 10)  # so that it adds to the output in training
    monkeypatch.setattr(step_graphs, "capture", counted)
    for module in (schedules, step_loop):
        monkeypatch.setattr(module, "TENSOR_DEVICES", {"cpu"})
    return counts


class Outcomes(Observer):
    """What runs come to."""

    def __init__(self) -> None:
        self.outcomes: dict[Run, Outcome] = {}

    def ended(self, run: Run, outcome: Outcome) -> None:
        """Keeps it."""
        self.outcomes[run] = outcome


def states(*members: Sequence[str], added: Sequence[str] = ()) -> list[dict[str, Tensor]]:
    """The best and the last weights of runs that train as one stack."""
    cache, kept = DataCache(), Outcomes()
    configs = [resolved(*SHARED, *member, *added, cache=cache) for member in members]
    fit(runs := [Run(each, cache.data(each)) for each in configs], [kept])
    return [weights for run in runs for weights in (kept.outcomes[run].best, kept.outcomes[run].last)]


def assert_those_of_the_trainer(found: Sequence[dict[str, Tensor]], *members: Sequence[str]) -> None:
    for one, other in zip(found, states(*members, added=["trainer.block=1"]), strict=True):
        assert one.keys() == other.keys()
        assert all(torch.equal(values, other[name]) for name, values in one.items())


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_a_graph_gives_the_bits_of_the_trainers_steps(captures: list[int], settings: list[str]) -> None:
    members = [[*settings, *member] for member in MEMBERS]
    found = states(*members)
    assert captures == [INPUTS if any("flat_cos" in word for word in settings) else INPUTS - 1]
    assert_those_of_the_trainer(found, *members)


def test_a_resumed_run_gives_the_same_by_a_graph(
    monkeypatch: pytest.MonkeyPatch, captures: list[int]
) -> None:
    overrides = [*SHARED, *AVERAGED, *MEMBERS[0]]
    cache, on_step = DataCache(), StopOnSignal.on_step

    def stop(self: StopOnSignal, stack: StackTrainer) -> None:
        if stack.trainer.global_step == 4:
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
    assert len(captures) == 2
    paths = [Path(f"resumed/0/checkpoints/{name}.ckpt") for name in ("best", "last")]
    assert_those_of_the_trainer([checkpoint.load(path)["state"] for path in paths], overrides)


def test_members_that_no_longer_have_the_same_rates_get_a_new_graph(captures: list[int]) -> None:
    members = [["scheduler=constant"], ["scheduler=step", "scheduler.step_size=1"]]
    found = states(*members)
    assert len(captures) == 2
    assert_those_of_the_trainer(found, *members)


def test_there_is_none_of_dropout_and_of_several_parts(
    monkeypatch: pytest.MonkeyPatch, captures: list[int]
) -> None:
    states(["model.dropout=0.1"])
    monkeypatch.setattr(step_loop, "CACHE_BYTES", 1)
    states(*MEMBERS)
    assert captures == []


def test_on_a_cpu_there_is_none(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "mlplab"):
        states(MEMBERS[0])  # which could not capture any
    assert "CUDA" not in caplog.text


def test_a_graph_that_misses_an_input_is_not_used(
    monkeypatch: pytest.MonkeyPatch, captures: list[int]
) -> None:
    """Each of the tensors that a step takes."""
    captured, refused = StepGraph._captured, []

    def tried(self: StepGraph, tensors: Sequence[Tensor]) -> Callable[..., Tensor]:
        for forgotten in range(len(tensors)):

            def missing(
                function: Callable[..., Tensor], arguments: Iterable[Tensor], forgotten: int = forgotten
            ) -> Capture:
                kept = [each.clone() if n == forgotten else each for n, each in enumerate(arguments)]
                return again(function, kept)

            with monkeypatch.context() as patch:
                patch.setattr(step_graphs, "capture", missing)
                with pytest.raises(RuntimeError, match="the steps of a graph give other bits"):
                    captured(self, tensors)
            refused.append(forgotten)
        return captured(self, tensors)

    monkeypatch.setattr(StepGraph, "_captured", tried)
    members = [[*AVERAGED, "scheduler.regularization=flat_cos", *member] for member in MEMBERS]
    found = states(*members)
    assert refused == [*range(INPUTS)]
    assert_those_of_the_trainer(found, *members)


@pytest.mark.parametrize("replays", [None, 0, 3, 5])
def test_after_an_exception_in_a_graph_the_steps_go_on(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, replays: int | None
) -> None:
    """In the capture itself (None), or after so many replays; the first three are trials."""

    def limited(function: Callable[..., Tensor], arguments: Sequence[Tensor]) -> Capture:
        replay, result = again(function, arguments)
        left = iter(range(replays or 0))

        def once_more() -> None:
            if next(left, None) is None:
                raise RuntimeError("operation not permitted\nwhen stream is capturing")
            replay()

        if replays is None:
            once_more()
        return once_more, result

    def step(x: Tensor) -> Tensor:
        return weight.add_(x).clone()

    monkeypatch.setattr(step_graphs, "capture", limited)
    weight = torch.zeros(2)
    graph = StepGraph(step, [weight], lambda: [weight])
    with caplog.at_level(logging.INFO, "mlplab"):
        found = [graph(torch.tensor([1.0, number])).tolist() for number in range(5)]
    assert found == [[1, 0], [2, 1], [3, 3], [4, 6], [5, 10]]
    [line] = [each.getMessage() for each in caplog.records]
    reason = "RuntimeError: operation not permitted"
    assert line == f"training goes on without CUDA graphs, with the same results: {reason}"


@needs_gpu
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_cuda_graphs_give_the_bits_of_the_trainers_steps(
    caplog: pytest.LogCaptureFixture, settings: list[str]
) -> None:
    members = [[*settings, *member, "trainer.accelerator=cuda", ONE_HOT] for member in MEMBERS]
    with caplog.at_level(logging.INFO, "mlplab"):
        found = states(*members)
    assert "without CUDA graphs" not in caplog.text
    assert_those_of_the_trainer(found, *members)


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
        states(*MEMBERS, added=["trainer.accelerator=cuda", ONE_HOT, "loss=huber"])
    assert len(steps) > 1
    assert "without CUDA graphs" not in caplog.text
