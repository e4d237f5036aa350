"""`resume=`, `init_from=`, and sweeps that are given again; kills are in tests/faults."""

import hashlib
import json
import os
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from commands.mistakes import Command, Mistake, assert_refused, each, mistake
from rich.console import Console
from support import SMALL, assert_short_answer, hparams_of, left_behind, metrics_of, train_into, without_notes

from mlplab.data.cache import DataCache
from mlplab.errors import UserError
from mlplab.files import FolderLock
from mlplab.runs import checkpoint
from mlplab.runs.folder import RunFolder
from mlplab.runs.planned_run import PlannedRun, read_run_config
from mlplab.runs.train_runs import train_runs
from mlplab.runs.trained.load import load_runs
from mlplab.training.callbacks.stopping import StopOnSignal
from mlplab.training.fit import StackTrainer

R = "resume=outputs/r"
RUN, WHOLE = Path("outputs/r"), Path("outputs/whole")
QUICK = (*SMALL[:-1], "scheduler=constant", "model.dropout=0.1")
SWEEP = ("-m", *SMALL[:-1], "scheduler=constant", "logger=[]")


def interrupt(folder: Path) -> None:
    """Makes a run look like one that was stopped after its last epoch, before its test."""
    (folder / "metrics.json").write_text('{"status": "running"}')


def results_of(folder: Path) -> dict[str, Any]:
    left = left_behind(folder)
    return {part: left[part] for part in ("metrics", "curves", "config", "weights")}


def test_a_run_may_grow_longer(succeed: Command) -> None:
    words = ("train", *QUICK, "model.heads=3", "ensemble=1")
    succeed(*words, "trainer.max_epochs=4", "name=whole")
    succeed(*words, "trainer.max_epochs=2", "name=r")
    assert "resumes after epoch 2, step" in succeed("train", R, "trainer.max_epochs=4").out
    assert results_of(RUN) == results_of(WHOLE)
    assert hparams_of(RUN) == hparams_of(WHOLE)


def test_a_signal_before_the_first_step_stops_it(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    start = StopOnSignal.on_start

    def start_late(self: StopOnSignal, stack: StackTrainer) -> None:
        os.kill(os.getpid(), signal.SIGTERM)  # Lightning's handler is installed
        start(self, stack)

    monkeypatch.setattr(StopOnSignal, "on_start", start_late)
    ended = command(*QUICK, "trainer.max_epochs=2", "name=r")
    assert ended.status == 128 + signal.SIGTERM, ended.err
    stopped = r"stopped by SIGTERM after step \d+; everything is saved"
    assert re.fullmatch(rf"{stopped}\n  to continue: .*train(\.py)? resume=outputs/r\n", ended.err)
    assert metrics_of(RUN)["status"] == "interrupted"
    assert (RUN / "checkpoints/last.ckpt").exists()


SHAPE = ("model.hidden=[8]", "baselines=[]")
BLOBS = ("data=synthetic", "data.function=blobs", "data.rows=200", "data.class_weights={a: 2}")
CSV = ("data=csv", "data.path=t.csv", "data.target=y")
STOP = "callbacks.early_stopping.patience=1"
KINDS = {
    "classes": (*BLOBS, *SMALL[2:-1], "optimizer.lr=0.02", "monitor=val/accuracy", "ensemble=3", STOP),
    "memory-mapped": (*CSV, *SHAPE, "data.batch_size=50", "ensemble=1", "data.memory_gib=1e-6"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_is_stopped_within_an_epoch_comes_to_the_same_end(
    command: Command, succeed: Command, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    x = np.random.default_rng(0).normal(size=(600, 2))
    pl.DataFrame({"a": x[:, 0], "b": x[:, 1], "y": x.sum(1)}).write_csv("t.csv")
    words, stop = (*KINDS[kind], "scheduler=constant", "trainer.max_epochs=9"), StopOnSignal.on_step

    def stop_within_an_epoch(self: StopOnSignal, stack: StackTrainer) -> None:
        if stack.trainer.global_step == 12:
            self.received = signal.SIGTERM
        stop(self, stack)

    def outcome(run: Path) -> dict[str, Any]:
        return {**results_of(run), "test rows": (run / "test_predictions.csv").read_text()}

    ended = succeed("train", *words, "name=whole")
    assert ("too large for memory" in ended.out) == (kind == "memory-mapped")
    with monkeypatch.context() as context:
        context.setattr(StopOnSignal, "on_step", stop_within_an_epoch)
        assert command(*words, "name=r").status == 128 + signal.SIGTERM
    whole = outcome(WHOLE)
    assert not (RUN / "test_predictions.csv").exists()
    assert (whole["metrics"]["epochs"] < 9) == (STOP in words)
    if kind == "memory-mapped":
        refused = command(R, "data.memory_gib=1").err
        assert "was memory-mapped during training and is in memory now" in refused
        assert "lower data.memory_gib=" in refused
    succeed("train", R)
    assert outcome(RUN) == whole
    interrupt(RUN)  # before its test
    succeed("train", R)
    assert outcome(RUN) == whole
    if STOP in words:
        assert "has already finished" in succeed("train", R, "trainer.max_epochs=60").out


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    train_into(folder, [*QUICK, "ensemble=1", "trainer.max_epochs=2"])
    return folder / "0"


@pytest.fixture
def stopped(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained, run := tmp_path / RUN)
    interrupt(run)
    return run


def test_a_run_without_a_checkpoint_starts_again(command: Command, trained: Path, stopped: Path) -> None:
    checkpoint.remove(stopped / "checkpoints/last.ckpt")
    (stopped / "checkpoints/.last.ckpt.123.part").touch()
    printed = without_notes(command(R).out)
    assert printed.startswith("r: no saved training state: starting from the beginning\n")
    assert results_of(stopped) == results_of(trained)
    assert not list(stopped.rglob("*.part"))


def edited(old: str, new: str) -> Callable[[Path], None]:
    def edit(here: Path) -> None:
        path = here / "outputs/r/config.yaml"
        path.write_text(path.read_text().replace(old, new))

    return edit


def other_state(here: Path) -> None:
    last = here / "outputs/r/checkpoints/last.ckpt"
    content = torch.load(last, weights_only=True)
    content["training"]["parts"]["network"] = {"weight": torch.zeros(1, 3)}
    torch.save(content, last)


DONE = {"outputs/r/metrics.json": '{"status": "done"}'}
OLD = edited("threads: 1\n", "")
MISTAKES = [
    mistake("a word", DONE, f"{R} test=maybe", "test: invalid value"),
    mistake("63 missing", {}, "resume=outputs/x", "outputs/x: no such folder"),
    mistake("65 no run folder", {}, "resume=outputs", "outputs: is not a run folder"),
    mistake("63 key", {}, f"{R} optimizer.lr=0.5 seed=0", "optimizer.lr: differs | 0.5, expected 0.005"),
    mistake("63 fewer", {}, f"{R} trainer.max_epochs=1", "epochs: differs | may only be incr | init_from="),
    mistake("63 another table", edited("rows: 60", "rows: 61"), R, "data.rows: differs | last.ckpt"),
    mistake("68 another version", OLD, R, "is not valid in this version of mlplab: threads: is missing"),
    mistake("a sweep", {"outputs/r/plan.json": ""}, R, "resumes one run, not several | run its command"),
    mistake("with -m", {}, f"-m {R} seed=1,2", "resume: resumes one run"),
    mistake("an unknown key", {}, f"{R} sed=2", "sed=2: cannot be set for a resumed run"),
    mistake("another network", other_state, R, "last.ckpt: contains the state of a different network"),
    mistake("damaged", {"outputs/r/checkpoints/last.ckpt": "text"}, R, "last.ckpt: is damaged"),
    mistake("twice", {}, f"{R} resume=outputs/s", "resume: is given twice"),
    mistake("not ended", {}, (*SMALL, "init_from=outputs/r"), "outputs/r: contains no finished run"),
    mistake("columns", DONE, (*SMALL, "init_from=outputs/r", "data.features=6"), "trained on different col"),
]


@each(MISTAKES)
@pytest.mark.usefixtures("stopped")
def test_a_mistake_gets_a_short_answer(command: Command, tmp_path: Path, mistake: Mistake) -> None:
    assert_refused(mistake, tmp_path, command)


def test_a_folder_at_which_another_process_works_is_refused(command: Command, stopped: Path) -> None:
    (sweep := stopped.parent / "s").mkdir()
    with FolderLock(stopped), FolderLock(sweep):
        for words, folder in (([R], "outputs/r"), ([*SWEEP, "seed=1,2", "name=s"], "outputs/s")):
            assert_short_answer(command(*words), [f"{folder}: is in use by another process"])
    assert not [*sweep.iterdir()]


def test_a_shifted_table_is_seen_with_the_trained_eyes(succeed: Command) -> None:
    rows = [(i % 7, (i * i) % 11, i % 7 - (i * i) % 11) for i in range(80)]
    for name, shift in (("t", 0), ("u", 30_000)):
        lines = [f"{a + shift},{b},{y}" for a, b, y in rows]
        Path(f"{name}.csv").write_text("\n".join(["a,b,y", *lines]))
    words = ("data=csv", "data.target=y", *SHAPE, "data.batch_size=16", "ensemble=1")
    words += ("model.periodic_features=8", "model.piecewise_linear_bins=8")
    frozen = ("optimizer=sgd", "optimizer.lr=1e-30", "optimizer.momentum=0", "trainer.max_epochs=1")
    frozen += ("init_from=outputs/a",)
    for name, table, more in (("a", "t", ["trainer.max_epochs=30"]), ("b", "t", frozen), ("c", "u", frozen)):
        succeed("train", *words, f"data.path={table}.csv", *more, f"name={name}")
    whole, same, shifted = (metrics_of(Path("outputs", name))["test/rmse"] for name in "abc")
    assert same == pytest.approx(whole, rel=1e-6)
    assert shifted > 100 * same  # as the trained network would see those rows
    rows_of_a = pl.read_csv("t.csv")
    ours, theirs = (load_runs(Path("outputs", name)).predict(rows_of_a) for name in "ac")
    np.testing.assert_allclose(theirs, ours, atol=0.1)


def times(sweep: Path) -> dict[str, int]:
    return {path.parent.name: path.stat().st_mtime_ns for path in sweep.glob("*/metrics.json")}


def test_a_sweep_given_again_trains_what_is_missing(command: Command, succeed: Command) -> None:
    words = (*SWEEP, "seed=1,2,3", "trainer.max_epochs=2", "name=s")
    succeed("train", *words)
    (chosen := (sweep := Path("outputs/s")) / "ensemble-2.json").touch()
    whole, before = {name: left_behind(sweep / name) for name in times(sweep)}, times(sweep)
    succeed("train", *words)
    refused = command(*words, "model.dropout=0.5")
    assert_short_answer(refused, ["model.dropout: differs from the resumed run"])
    assert times(sweep) == before
    shutil.rmtree(sweep / "seed=1")
    interrupt(sweep / "seed=2")
    checkpoint.remove(sweep / "seed=2/checkpoints/last.ckpt")
    assert "3 runs: 1 stack of 3; 1 finished earlier\n" in succeed("train", *words).out
    after = times(sweep)
    assert {name for name in after if after[name] != before[name]} == {"seed=1", "seed=2"}
    assert {name: left_behind(sweep / name) for name in after} == whole
    assert (chosen.exists(), len(load_runs(sweep, "all").runs)) == (True, 3)


def test_a_sweep_of_ensembles_grows_longer_though_the_state_of_its_stack_is_damaged(succeed: Command) -> None:
    words, sweep = ("train", *SWEEP, "seed=1,2", "ensemble=2"), Path("outputs/s")
    succeed(*words, "trainer.max_epochs=3", "name=whole")
    whole = {run.name: results_of(run) for run in WHOLE.glob("seed=*")}
    succeed(*words, "trainer.max_epochs=1", "name=s")
    (sweep / "seed=1/notes.txt").write_text("mine")
    grown = (*words, "trainer.max_epochs=3", "name=s")
    succeed(*grown)
    assert (sweep / "seed=1/notes.txt").read_text() == "mine"
    assert "resumes after epoch 1" in (sweep / "seed=1/train.log").read_text()
    assert {name: results_of(sweep / name) for name in whole} == whole
    for name in whole:  # as if killed before their test, with all states in the file of their stack
        interrupt(sweep / name)
        checkpoint.remove(sweep / name / "checkpoints/last.ckpt")
    names = "\n".join(json.loads((sweep / "plan.json").read_text())["stacks"][0])
    (file := sweep / f"stacks/{hashlib.sha256(names.encode()).hexdigest()[:12]}.ckpt").parent.mkdir()
    file.write_text("text")
    assert f"warning: {file}: is damaged" in succeed(*grown).out
    assert {name: results_of(sweep / name) for name in whole} == whole


def test_a_run_that_another_process_has_ended_is_refused(stopped: Path) -> None:
    RunFolder(stopped).write_metrics({"status": "done", "epochs": 2})
    plan = PlannedRun(read_run_config(stopped), stopped, resume=True)
    with pytest.raises(UserError, match="was changed by another process"):
        train_runs([plan], DataCache(), Console(quiet=True))
    assert metrics_of(stopped)["status"] == "done"
    assert not (stopped / ".lock").exists()
