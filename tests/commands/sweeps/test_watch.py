"""`results.py FOLDER --watch`, as users run it."""

import json
import signal
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from support import SMALL, Ended, assert_short_answer, write_config

from mlplab.files import FolderLock
from mlplab.sweeps.folder import read_total
from mlplab.sweeps.watch.watch import watch

Command = Callable[..., Ended]


def write(folder: Path, status: str, **metrics: Any) -> None:
    folder.mkdir(exist_ok=True)
    seed = int(folder.name.partition("=")[2])
    write_config(folder, {"name": "s", "seed": seed, "monitor": "val/mae", "optimizer": {"lr": 0.1}})
    (folder / "metrics.json").write_text(json.dumps({"status": status, **metrics}))


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """What happens between two looks, one after another."""

    def happen(*events: Callable[[], object]) -> None:
        waiting = list(events)
        monkeypatch.setattr("mlplab.sweeps.watch.watch.time.sleep", lambda seconds: waiting.pop(0)())

    return happen


def test_a_sweep_that_is_killed_in_a_terminal(
    looks: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sweep = Path("s")
    sweep.mkdir()
    (sweep / "plan.json").write_text(json.dumps({"stacks": [["seed=0", "seed=1"]]}))
    for seed in (0, 1):
        write(sweep / f"seed={seed}", "running")
    (sweep / "seed=0/train.log").write_text("2026-01-01 00:00:00  epoch 20/40  train 1\n")
    locks = [FolderLock(sweep / f"seed={seed}") for seed in (0, 1)]
    for lock in locks:
        lock.acquire()
    file = StringIO()
    shown: list[str] = []

    def killed() -> None:
        shown.append(file.getvalue())
        for lock in locks:
            lock.release()

    looks(killed, lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(SystemExit) as ended:
        watch(sweep, Console(file=file, force_terminal=True, width=60, color_system=None), live=True)
    assert ended.value.code == 130
    training, stopped = shown[0], file.getvalue().removeprefix(shown[0])
    for words in ("s: 2 runs", "┃ running ┃ time left ┃", "│ seed=0 …    │ 2    │ 20/40 │"):
        assert words in training
    assert "┃ stopped ┃ time left ┃" in stopped
    assert "runs have stopped: to resume them, type the sweep's command again" in " ".join(stopped.split())
    assert stopped.endswith("\x1b[?25h")  # the cursor is shown again


def test_lines_whenever_a_number_changes_and_the_table_at_the_end(
    run_script: Command, looks: Callable[..., None], tmp_path: Path
) -> None:
    sweep = tmp_path / "s"
    sweep.mkdir()
    driver, worker = FolderLock(sweep), FolderLock(sweep / "seed=0")
    driver.acquire()

    def plan() -> None:
        (sweep / "plan.json").write_text(json.dumps({"stacks": [["seed=0", "seed=1"], ["seed=2"]]}))

    def start() -> None:
        write(sweep / "seed=0", "running")
        worker.acquire()

    def first_stack() -> None:
        write(sweep / "seed=0", "done", **{"val/mae": 2.0, "test/rmse": 3.0})
        write(sweep / "seed=1", "diverged", reason="x")
        worker.release()

    def second_stack() -> None:
        write(sweep / "seed=2", "done", **{"val/mae": 1.0, "test/rmse": 2.0})

    looks(plan, start, lambda: None, first_stack, second_stack, driver.release)
    ended = run_script("results", "s", "--watch")
    assert (ended.status, ended.err) == (0, "")
    lines = ended.out.splitlines()
    lines[:5] = [line.partition("; about")[0] for line in lines[:5]]
    assert lines[:5] == [
        "no run yet",
        "3 runs: 3 waiting",
        "3 runs: 1 running, 2 waiting",
        "3 runs: 1 done, 1 diverged, 1 waiting; best val/mae 2 (seed=0)",
        "3 runs: 2 done, 1 diverged; best val/mae 1 (seed=2)",
    ]
    assert lines[5:] == run_script("results", "s").out.splitlines()
    assert "\x1b" not in ended.out


def test_a_search_and_one_of_its_trials(command: Command, run_script: Command, tmp_path: Path) -> None:
    search = ("sweep.trials=3", "sweep.batch=2", "optimizer.lr=interval(0.001,0.1)", "name=s")
    assert command("-m", *SMALL, *search).status == 0
    assert read_total(tmp_path / "outputs/s") == 3
    [line, *_] = run_script("results", "outputs/s", "--watch").out.splitlines()
    best = (tmp_path / "outputs/s/best.yaml").read_text()
    assert line.startswith("3 runs: 3 done; best val/mae ")
    assert f"trial: {line[-11:-1]}\n" in best
    [line, *_] = run_script("results", "outputs/s/trial-0001", "--watch").out.splitlines()
    assert line.startswith("1 run: 1 done; best val/mae ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["s", "o/t"], ["--watch: watches one folder (found s, o/t)", "give the folder of one sweep"]),
        (["absent"], ["absent: no such folder", "give the folder of a run or a sweep"]),
        (["o"], ["o: contains no run"]),
    ],
)
def test_mistakes(run_script: Command, tmp_path: Path, arguments: list[str], message: list[str]) -> None:
    for name in ("empty", "s", "o/t", "o/u"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("s", "o/t", "o/u"):
        (tmp_path / name / "plan.json").touch()
    assert_short_answer(run_script("results", *arguments, "--watch"), message)
