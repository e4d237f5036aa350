import json
from contextlib import ExitStack
from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import write_config

from mlplab.files import FolderLock
from mlplab.sweeps.folder import write_total
from mlplab.sweeps.watch import run_progress
from mlplab.sweeps.watch.progress import Best, Progress, read_progress
from mlplab.sweeps.watch.run_progress import Epochs, RunProgress
from mlplab.sweeps.watch.time_left import seconds_left


def plan(root: Path, *stacks: list[str]) -> None:
    root.mkdir(exist_ok=True)
    (root / "plan.json").write_text(json.dumps({"stacks": stacks}))


def write(run: Path, status: str, **metrics: Any) -> None:
    """What a run writes to its folder; its metrics.json is replaced, as a run does it."""
    run.mkdir(parents=True, exist_ok=True)
    write_config(run, {"monitor": "val/r2"})
    (run / "new").write_text(json.dumps({"status": status, **metrics}))
    (run / "new").replace(run / "metrics.json")


def test_a_sweep_from_its_plan_to_its_end(tmp_path: Path) -> None:
    root, names = tmp_path / "s", ["a", "b", "c", "d", "e", "f"]
    plan(root, names[:3], names[3:])
    with FolderLock(root).held():
        progress = read_progress(root)
        assert progress.counts == {"waiting": 6}
        assert not progress.has_stopped
        with ExitStack() as locks:
            for name in names[:3]:
                write(root / name, "running")
                locks.enter_context(FolderLock(root / name).held())
            progress = read_progress(root, progress)
            assert progress.counts == {"running": 3, "waiting": 3}
            assert [training.runs for training in progress.training] == [[root / name for name in names[:3]]]
            write(root / "a", "diverged", reason="x", **{"val/r2": 0.9})
            write(root / "b", "done", **{"val/r2": 0.5, "val/rmse": 1.0})
            progress = read_progress(root, progress)
            assert progress.counts == {"done": 1, "diverged": 1, "running": 1, "waiting": 3}
        write(root / "c", "done", **{"val/r2": 0.7, "val/rmse": 2.0})
        write(root / "d", "failed", reason="x")
        write(root / "e", "pruned", reason="x", **{"val/r2": 0.8})
        write(root / "f", "interrupted", reason="x")
        progress = read_progress(root, progress)
        assert progress.counts == {"done": 2, "pruned": 1, "diverged": 1, "failed": 1, "stopped": 1}
        assert list(progress.counts) == ["done", "pruned", "diverged", "failed", "stopped"]
        assert progress.best == Best(root / "c", "val/r2", 0.7)
        assert progress.has_stopped
        write(root / "f", "done", **{"val/r2": None})
        progress = read_progress(root, progress)
        assert (progress.ended, progress.has_stopped, progress.is_over) == (6, False, False)
    progress = read_progress(root, progress)
    assert progress.is_over
    assert progress.best == Best(root / "c", "val/r2", 0.7)
    assert not progress.has_stopped


def test_runs_of_a_killed_process_have_stopped_until_they_are_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def is_free(folder: Path) -> bool:
        tried.append(folder.name)
        return free(folder)

    free = run_progress.is_free
    monkeypatch.setattr(run_progress, "is_free", is_free)
    root = tmp_path / "s"
    plan(root, ["a", "b"])
    for name in ("a", "b"):
        write(root / name, "running")
        (root / name / ".lock").touch()
    (root / ".lock").touch()
    with FolderLock(root / "b").held():
        progress = read_progress(root)
        assert progress.counts == {"stopped": 1, "running": 1}
    (root / "b/.lock").touch()  # killed, too
    for _ in range(3):
        progress = read_progress(root, progress)
        assert progress.counts == {"stopped": 2}
        assert progress.has_stopped
        assert not progress.is_over
    assert tried.count("a") == 1  # a lock that is free is never taken again
    assert tried.count("s") == 1
    with FolderLock(root / "a").held():
        write(root / "a", "running")  # as a resumed run
        progress = read_progress(root, progress)
        assert progress.counts == {"stopped": 1, "running": 1}


def test_a_run_that_ends_during_a_look_has_not_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ends(folder: Path) -> bool:
        if folder == tmp_path / "s/a":
            write(folder, "done")
        return True

    plan(tmp_path / "s", ["a"])
    write(tmp_path / "s/a", "running")
    monkeypatch.setattr(run_progress, "is_free", ends)
    progress = read_progress(tmp_path / "s")
    assert progress.counts == {"running": 1}
    assert read_progress(tmp_path / "s", progress).counts == {"done": 1}


FILES = ("plan.json", "a/metrics.json", "b/metrics.json", "b/config.yaml", "c/metrics.json", "c/train.log")
LOG = "2026-01-01 00:00:00  epoch 1/9  train 1\n2026-01-01 00:00:08  epoch 5/9  train 1\n"


@given(st.lists(st.tuples(st.sampled_from(FILES), st.floats(0, 1) | st.none()), max_size=8))
def test_torn_and_absent_files_are_survived(
    tmp_path_factory: pytest.TempPathFactory, damages: list[tuple[str, float | None]]
) -> None:
    root = tmp_path_factory.mktemp("s")
    plan(root, ["a", "b"], ["c", "d"])
    write(root / "a", "done", **{"val/r2": 0.25, "val/rmse": 1.0})
    write(root / "b", "done", **{"val/r2": 0.5, "val/rmse": 2.0})
    write(root / "c", "running")
    (root / "c/train.log").write_text(LOG)
    with FolderLock(root / "c").held():
        before = whole = read_progress(root)
        assert (whole.counts, whole.best) == (
            {"done": 2, "running": 1, "waiting": 1},
            Best(root / "b", "val/r2", 0.5),
        )
        late = None
        for name, cut in damages:
            path, text = root / name, (root / name).read_bytes()
            path.unlink()
            if cut is not None:
                path.write_bytes(text[: int(cut * (len(text) - 1))])
            before, late = read_progress(root, before), read_progress(root, late)
            assert (before.counts, before.best) == (whole.counts, whole.best)
            assert sum(late.counts.values()) <= 4
            path.write_bytes(text)
        for found in (read_progress(root, before), read_progress(root, late)):
            assert (found.counts, found.best) == (whole.counts, whole.best)
            [training] = found.training
            assert training.epochs is not None
            assert (training.epochs.epoch, training.epochs.epochs, training.epochs.seconds) == (5, 9, 2)


def test_a_folder_that_vanishes_is_as_before(tmp_path: Path) -> None:
    plan(tmp_path / "s", ["a", "b"])
    write(tmp_path / "s/a", "done", **{"val/r2": 0.5})
    progress = read_progress(tmp_path / "s")
    (tmp_path / "s").rename(tmp_path / "t")
    assert read_progress(tmp_path / "s", progress).counts == progress.counts == {"done": 1, "waiting": 1}


def test_nothing_is_written_and_only_changed_files_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "s"
    plan(root, ["a", "b", "c"])
    for name in ("a", "b"):
        write(root / name, "done", **{"val/r2": 0.5})
    write(root / "c", "running")
    (root / "c/.lock").touch()
    (root / "c/train.log").write_text(LOG)
    before = {path: path.stat().st_mtime_ns for path in (root, *root.rglob("*"))}
    progress = read_progress(root)
    read, read_metrics = [], run_progress.read_metrics
    monkeypatch.setattr(run_progress, "read_metrics", lambda run: read.append(run.name) or read_metrics(run))
    progress = read_progress(root, progress)
    assert read == []
    assert {path: path.stat().st_mtime_ns for path in (root, *root.rglob("*"))} == before
    write(root / "b", "done", **{"val/r2": 0.9})
    progress = read_progress(root, progress)
    assert read == ["b"]
    assert progress.best == Best(root / "b", "val/r2", 0.9)


def test_runs_that_no_plan_names(tmp_path: Path) -> None:
    """Those of Hydra's own launchers, those that were refused, but not the copies in a chosen ensemble."""
    root = tmp_path / "s"
    for name in ("a", "x/b", "ensemble-2/a"):
        write(root / name, "done")
    (root / "ensemble-2/ensemble.json").touch()
    with FolderLock(root).held():
        progress = read_progress(root)
        assert (progress.counts, progress.is_total_known, progress.is_over) == ({"done": 2}, False, False)
        plan(root, ["a", "c"])
        write(root / "refused", "failed")
        progress = read_progress(root, progress)
        assert progress.counts == {"done": 2, "failed": 1, "waiting": 1}
        assert progress.is_total_known


def test_the_trials_that_a_search_has_not_asked_for_wait(tmp_path: Path) -> None:
    root = tmp_path / "s"
    plan(root, ["trial-0000", "trial-0001"])
    (root / "study.journal").touch()
    write(root / "trial-0000", "done")
    with FolderLock(root).held():
        write_total(root, None)
        progress = read_progress(root)
        assert (progress.counts, progress.is_total_known) == ({"done": 1, "waiting": 1}, False)
        write_total(root, 5)
        progress = read_progress(root, progress)
        assert (progress.counts, progress.is_total_known) == ({"done": 1, "waiting": 4}, True)
    write(root / "trial-0001", "done")
    progress = read_progress(root, progress)
    assert progress.is_over  # out of time, or killed: none is left that could train
    assert progress.has_stopped


def test_a_run_alone(tmp_path: Path) -> None:
    write(tmp_path / "r", "running")
    with FolderLock(tmp_path / "r").held():
        progress = read_progress(tmp_path / "r")
        assert (progress.counts, progress.is_total_known) == ({"running": 1}, True)
        write(tmp_path / "r", "done")
    assert read_progress(tmp_path / "r", progress).is_over


@pytest.mark.parametrize(
    ("log", "epoch", "seconds"),
    [
        ("2026-01-01 00:00:00  epoch 1/40  train 1\n", 1, None),
        ("2026-01-01 00:00:00  epoch 1/40  train 1\n2026-01-01 00:00:00  epoch 4/40  train 1\n", 4, None),
        ("2026-01-01 00:00:00  epoch 1/40  train 1\n2026-01-01 00:01:00  epoch 4/40  train 1\n", 4, 20),
        (
            "2026-01-01 00:00:00  epoch 1/40  train 1\n2026-01-01 00:00:01  epoch 4/40  train 1\n"
            "2026-01-03 00:00:00  resumes after epoch 7, step 70\n2026-01-03 00:01:00  epoch 8/40  train 1\n"
            "2026-01-03 00:03:00  epoch 12/40  train 1\n2026-01-03 00:03:01  warning: epoch 40/40  ?\n",
            *(12, 30),
        ),
        ("2026-99-01 00:00:00  epoch 1/40  train 1\n2026-01-01 00:01:00  epoch 4/40  train 1\n", 4, None),
    ],
)
def test_the_epochs_of_a_log(tmp_path: Path, log: str, epoch: int, seconds: float | None) -> None:
    write(tmp_path / "r", "running")
    (tmp_path / "r/train.log").write_text("2026-01-01 00:00:00  header\n" * 1000 + log)
    [training] = read_progress_of_held(tmp_path / "r").training
    assert training.epochs is not None
    assert (training.epochs.epoch, training.epochs.epochs, training.epochs.seconds) == (epoch, 40, seconds)


def read_progress_of_held(run: Path) -> Progress:
    with FolderLock(run).held():
        return read_progress(run)


def sweep(training: list[Epochs | None], ended: list[float], waiting: int, size: int = 3) -> Progress:
    """A sweep of stacks: in training since the time 0, ended after some seconds, waiting."""
    stacks = [
        [Path(f"{stack}-{run}") for run in range(size)]
        for stack in range(len(training) + len(ended) + waiting)
    ]
    running = RunProgress((1, 1), "running", 0.0, 0.0, {})
    done = [replace(running, status="done", written=seconds) for seconds in ended]
    states = [*(replace(running, epochs=epochs) for epochs in training), *done]
    runs = {run: state for stack, state in zip(stacks, states, strict=False) for run in stack}
    return Progress(Path(), stacks, runs, None, True, "", None)


def at(epoch: int, seconds: float | None, epochs: int = 10, logged: float = 0.0) -> Epochs:
    return Epochs((1, 1), epoch, epochs, seconds, logged)


@pytest.mark.parametrize(
    ("training", "ended", "waiting", "now", "expected"),
    [
        ([], [], 4, 0.0, None),
        ([None], [], 0, 5.0, None),
        ([at(1, None)], [], 3, 5.0, None),
        ([at(4, 2.0)], [], 0, 0.0, 12.0),
        ([at(4, 2.0)], [], 0, 5.0, 7.0),  # five seconds after the last line in the log
        ([at(10, 2.0)], [], 0, 99.0, 0.0),
        ([at(4, 2.0)], [], 3, 0.0, 12.0 + 3 * 20),
        ([at(4, 2.0), at(9, 2.0)], [], 1, 0.0, 2.0 + 20),  # the first that ends makes room
        ([None], [30.0, 50.0], 2, 10.0, 30.0 + 2 * 40),
        ([None, at(4, 2.0)], [20.0], 0, 15.0, 5.0),
    ],
)
def test_the_time_left(
    training: list[Epochs | None], ended: list[float], waiting: int, now: float, expected: float | None
) -> None:
    assert seconds_left(sweep(training, ended, waiting), now) == expected


def test_refused_runs_took_no_time_and_trials_to_come_count(tmp_path: Path) -> None:
    progress = sweep([at(4, 2.0)], [], 0)
    refused = RunProgress((1, 1), "failed", 0.0, 0.0, {})
    runs = {**progress.runs, Path("refused"): refused}
    known = replace(progress, stacks=[*progress.stacks, [Path("refused")]], runs=runs)
    assert seconds_left(known, 0.0) == 12
    assert seconds_left(replace(progress, trials=9), 0.0) == 12 + 2 * 20
    assert seconds_left(replace(progress, is_total_known=False), 0.0) is None


@given(st.lists(st.integers(1, 10), min_size=1, max_size=6), st.integers(0, 20), st.floats(0.5, 9))
def test_stacks_that_take_equally_long_end_in_rounds(epochs: list[int], waiting: int, seconds: float) -> None:
    left = seconds_left(sweep([at(epoch, seconds) for epoch in epochs], [], waiting), 0.0)
    assert left is not None
    whole, soonest, latest = 10 * seconds, (10 - max(epochs)) * seconds, (10 - min(epochs)) * seconds
    rounds = ceil(waiting / len(epochs))
    assert max(latest, soonest + rounds * whole) - 1e-9 <= left <= latest + rounds * whole + 1e-9
    more = seconds_left(sweep([at(epoch, seconds) for epoch in epochs], [], waiting + 1), 0.0)
    assert more is not None
    assert more >= left
