"""One network in several processes: the result of one process, one run folder, one end."""

import json
import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands.mistakes import Mistake, assert_refused, each
from support import SMALL, Ended, assert_short_answer, config, events_of, left_behind, status_of

from mlplab.runs import devices
from mlplab.runs import train as runs_train
from mlplab.training import checkpoint
from mlplab.training.ranks import RankGroup

Command = Callable[..., Ended]

RANKS = "trainer.devices=2"


@pytest.fixture(autouse=True)
def _enough_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "available_cores", lambda: 3)


def write_table(path: Path, rows: int) -> None:
    """A table with two inputs, row weights, and a target."""
    pairs = ((n * 37 % 101, n * 53 % 17) for n in range(rows))
    lines = (f"{a},{b},{1 + a % 3},{a + 3 * b}" for a, b in pairs)
    path.write_text("\n".join(("a,b,w,y", *lines)) + "\n")


CSV = ("data.path=t.csv", "data.target=y", "data.weight=w", "model.hidden=[8,8]", "baselines=[]")
EXACT = ("trainer.precision=64", "trainer.max_epochs=4")
CASES = {
    "an ensemble with row weights and dropout, of a memory-mapped table": (
        *(*CSV, *EXACT, "ensemble=4", "model.dropout=0.2", "trainer.gradient_clip_val=0.5"),
        *("trainer.log_every_n_steps=2", "data.memory_gib=1e-9"),
    ),
    "classes with weights that stop early": (
        *(*EXACT, "data=synthetic", "data.function=blobs", "data.rows=101", "model.hidden=[8]"),
        *("data.class_weights={a: 3}", "ensemble=1", "baselines=[]", "scheduler=plateau"),
        *("callbacks.early_stopping.patience=1", "optimizer=sgd", "optimizer.lr=0.9"),
    ),
    "a batch of all rows": (*CSV, *EXACT, "ensemble=1"),
}
"""Overrides; 203 or 101 rows."""


def values_of(run: Path) -> dict[str, dict[str, Any]]:
    """The numbers that a run leaves."""
    metrics = json.loads((run / "metrics.json").read_text())
    events = events_of(run)
    return {
        "metrics": {name: value for name, value in metrics.items() if name not in ("status", "seconds")},
        "curves": {tag: [point.value for point in events.Scalars(tag)] for tag in events.Tags()["scalars"]},
        "weights": {
            name: tensor.numpy()
            for name, tensor in checkpoint.load(run / "checkpoints/last.ckpt")["state"].items()
        },
    }


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=[pytest.mark.slow] if number else []) for number, case in enumerate(CASES)],
)  # each process imports torch anew
def test_processes_have_the_result_of_one(command: Command, tmp_path: Path, case: str) -> None:
    write_table(tmp_path / "t.csv", 203)
    ranks, rows = (3, "null") if "all rows" in case else (2, "10")
    words = CASES[case]
    one = command(*words, f"data.batch_size={rows if rows == 'null' else ranks * int(rows)}", "name=one")
    several = command(*words, f"data.batch_size={rows}", f"trainer.devices={ranks}", "name=several")
    assert (one.status, several.status) == (0, 0), several.err
    runs = [tmp_path / "outputs" / name for name in ("one", "several")]
    wanted, found = map(values_of, runs)
    for part, values in wanted.items():
        assert values.keys() == found[part].keys()
        for name, value in values.items():
            np.testing.assert_allclose(found[part][name], value, rtol=1e-5, atol=1e-7, err_msg=name)
    files = [[path.name.split(".1")[0] for path in sorted(run.rglob("*"))] for run in runs]
    assert files[0] == files[1]
    assert len(several.out.splitlines()) <= len(one.out.splitlines()) + 3, "printed twice"
    assert several.err == one.err


QUICK = (
    *("data=synthetic", "data.rows=75", "data.batch_size=4", "model.hidden=[8,8]", "model.dropout=0.1"),
    *("trainer.max_epochs=5", "ensemble=1", "test=false", "baselines=[]"),
)


def at_step(step: int, do: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes rank 0 do something in a step."""
    add_up, steps = RankGroup.add_up, [0]

    def counted(self: RankGroup, gradients: torch.Tensor, losses: torch.Tensor) -> None:
        steps[0] += 1
        if steps[0] == step:
            do()
        add_up(self, gradients, losses)

    monkeypatch.setattr(RankGroup, "add_up", counted)


def other_rank() -> int:
    """The process id of rank 1."""
    (process,) = multiprocessing.active_children()
    assert process.pid is not None
    return process.pid


def results_of(run: Path) -> dict[str, Any]:
    left = left_behind(run)
    return {part: left[part] for part in ("metrics", "curves", "config", "weights")}


@pytest.mark.parametrize(
    ("number", "receiver"),
    [
        pytest.param(signal.SIGTERM, other_rank, id="other"),
        pytest.param(signal.SIGINT, os.getpid, id="first", marks=pytest.mark.slow),
    ],
)
def test_a_signal_to_any_process_stops_all_and_the_run_resumes(
    command: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
    receiver: Callable[[], int],
) -> None:
    with monkeypatch.context() as context:
        at_step(9, lambda: os.kill(receiver(), number), context)
        stopped = command(*QUICK, RANKS, "name=r")
    assert stopped.status == 128 + number, stopped
    assert f"stopped by {number.name} after step" in stopped.err
    assert status_of(tmp_path / "outputs/r") == "interrupted"
    assert not multiprocessing.active_children()
    if number == signal.SIGTERM:
        refused = command("resume=outputs/r", "trainer.devices=1")
        assert_short_answer(refused, ["trainer.devices", "found 1", "expected 2"])
        resumed = command("resume=outputs/r")
        assert resumed.status == 0, resumed.err
        assert command(*QUICK, RANKS, "name=whole").status == 0
        assert results_of(tmp_path / "outputs/r") == results_of(tmp_path / "outputs/whole")


def test_a_process_that_dies_ends_the_run(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_step(9, lambda: os.kill(other_rank(), signal.SIGKILL), monkeypatch)
    ended = command(*QUICK, RANKS, "name=r")
    assert (ended.status, ended.err) == (1, "error: process 2 of 2 was killed by SIGKILL\n")
    assert status_of(tmp_path / "outputs/r") == "failed"
    assert not multiprocessing.active_children()


@pytest.mark.slow
def test_a_process_that_cannot_start_ends_the_run(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_table(tmp_path / "t.csv", 60)
    write_headers = runs_train.write_headers

    def remove_table(*arguments: Any) -> None:
        write_headers(*arguments)
        (tmp_path / "t.csv").unlink()

    monkeypatch.setattr(runs_train, "write_headers", remove_table)
    ended = command(*CSV, "ensemble=1", RANKS, "name=r")
    assert ended.status == 1
    assert ended.err.startswith("error: process 2 of 2 failed: t.csv: no such file")
    assert len(ended.err.splitlines()) == 1
    assert "in _train_quietly" in (tmp_path / "outputs/r/train.log").read_text()


@each(
    [
        Mistake("no device", {}, (*SMALL, "trainer.devices=0"), ["trainer.devices", "found 0", "1 or above"]),
        Mistake("half a device", {}, (*SMALL, "trainer.devices=1.5"), ["trainer.devices", "a whole number"]),
        Mistake("another strategy", {}, (*SMALL, "trainer.strategy=fsdp"), ["trainer.strategy", "'ddp'"]),
        Mistake("batch norm", {}, (*SMALL, RANKS, "model.norm=batch"), [RANKS, "norm=batch", "norm=layer"]),
        Mistake("the key's name elsewhere", {}, (*SMALL, "+devices=2"), ["did you mean trainer.devices?"]),
        Mistake("a sweep", {}, ("-m", *SMALL, RANKS, "seed=1,2"), [RANKS, "hydra.launcher.workers="]),
    ]
)
def test_what_cannot_be_trained_is_refused(command: Command, tmp_path: Path, mistake: Mistake) -> None:
    assert_refused(mistake, tmp_path, command)


def test_processes_that_another_program_starts_are_refused(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_RANK", "0")
    assert_short_answer(command(*SMALL, RANKS), [RANKS, "LOCAL_RANK", "without torchrun"])


def test_more_devices_than_there_are_are_refused(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    said = ["trainer.devices", "finds 1 CUDA device", "trainer.accelerator=cpu"]
    assert_short_answer(command(*SMALL, RANKS), said)


def test_more_threads_than_cores_are_warned_of() -> None:
    assert devices.core_warnings(config(*SMALL, "trainer.devices=3")) == []
    (warning,) = devices.core_warnings(config(*SMALL, RANKS, "threads=2"))
    assert "needs 4 cores, and there are 3" in warning


def test_ddp_with_one_device_is_the_usual_run(command: Command, tmp_path: Path) -> None:
    for strategy in ("auto", "ddp"):
        assert command(*QUICK, f"trainer.strategy={strategy}", f"name={strategy}").status == 0
    first, second = (left_behind(tmp_path / "outputs" / strategy) for strategy in ("auto", "ddp"))
    assert (first["metrics"], first["curves"]) == (second["metrics"], second["curves"])
