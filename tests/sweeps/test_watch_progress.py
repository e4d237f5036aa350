"""The progress of a sweep, from files that a test writes."""

import json
import os
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import write_config

from mlplab.files import FolderLock
from mlplab.sweeps.folder import write_total
from mlplab.sweeps.watch import progress as reading
from mlplab.sweeps.watch.progress import Progress
from mlplab.sweeps.watch.watch import line


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
        progress = Progress(root)
        assert progress.counts == {"waiting": 6}
        assert not progress.has_stopped
        with ExitStack() as locks:
            for name in names[:3]:
                write(root / name, "running")
                locks.enter_context(FolderLock(root / name).held())
            progress.look()
            assert progress.counts == {"running": 3, "waiting": 3}
            write(root / "a", "diverged", reason="x", **{"val/r2": 0.9})
            write(root / "b", "done", **{"val/r2": 0.5, "val/rmse": 1.0})
            progress.look()
            assert progress.counts == {"done": 1, "diverged": 1, "running": 1, "waiting": 3}
        write(root / "c", "done", **{"val/r2": 0.7, "val/rmse": 2.0})
        write(root / "d", "failed", reason="x")
        write(root / "e", "pruned", reason="x", **{"val/r2": 0.8})
        write(root / "f", "interrupted", reason="x")
        progress.look()
        assert list(progress.counts.items()) == [
            *(("done", 2), ("pruned", 1), ("diverged", 1), ("failed", 1), ("stopped", 1))
        ]
        assert progress.best == (root / "c", "val/r2", 0.7)
        assert progress.has_stopped
        write(root / "f", "done", **{"val/r2": None})
        progress.look()
        assert (progress.has_stopped, progress.is_over) == (False, False)
    progress.look()
    assert progress.is_over
    assert progress.best == (root / "c", "val/r2", 0.7)
    assert not progress.has_stopped


def test_runs_of_a_killed_process_have_stopped_until_they_are_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried, free = [], reading.is_free
    monkeypatch.setattr(reading, "is_free", lambda folder: tried.append(folder.name) or free(folder))
    root = tmp_path / "s"
    plan(root, ["a", "b"])
    for name in ("a", "b"):
        write(root / name, "running")
        (root / name / ".lock").touch()
    (root / ".lock").touch()
    with FolderLock(root / "b").held():
        progress = Progress(root)
        assert progress.counts == {"stopped": 1, "running": 1}
    (root / "b/.lock").touch()  # killed, too
    for _ in range(3):
        progress.look()
        assert progress.counts == {"stopped": 2}
        assert progress.has_stopped
        assert not progress.is_over
    assert tried.count("a") == tried.count("s") == 1  # a lock that is free is never taken again
    with FolderLock(root / "a").held():
        write(root / "a", "running")  # as a resumed run
        progress.look()
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
    monkeypatch.setattr(reading, "is_free", ends)
    progress = Progress(tmp_path / "s")
    assert progress.counts == {"running": 1}
    progress.look()
    assert progress.counts == {"done": 1}


FILES = ("plan.json", "a/metrics.json", "b/metrics.json", "c/metrics.json", "c/train.log")


@given(st.lists(st.tuples(st.sampled_from(FILES), st.floats(0, 1) | st.none()), max_size=8))
def test_torn_and_absent_files_are_survived(
    tmp_path_factory: pytest.TempPathFactory, damages: list[tuple[str, float | None]]
) -> None:
    root = tmp_path_factory.mktemp("s")
    plan(root, ["a", "b"], ["c", "d"])
    write(root / "a", "done", **{"val/r2": 0.25, "val/rmse": 1.0})
    write(root / "b", "done", **{"val/r2": 0.5, "val/rmse": 2.0})
    write(root / "c", "running")
    (root / "c/train.log").write_text("2026-01-01 00:00:08  epoch 5/9  train 1\n")
    with FolderLock(root / "c").held():
        progress = Progress(root)
        counts, best = progress.counts, progress.best
        assert counts == {"done": 2, "running": 1, "waiting": 1}
        for name, cut in damages:
            path, text = root / name, (root / name).read_bytes()
            path.unlink()
            if cut is not None:
                path.write_bytes(text[: int(cut * (len(text) - 1))])
            progress.look()
            assert sum(progress.counts.values()) <= 4
            path.write_bytes(text)
        progress.look()
        assert (progress.counts, progress.best) == (counts, best) == (counts, (root / "b", "val/r2", 0.5))
        assert progress.epochs == {root / "c": (5, 9)}


def test_nothing_is_written_and_only_changed_metrics_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "s"
    plan(root, ["a", "b"])
    for name in ("a", "b"):
        write(root / name, "done", **{"val/r2": 0.5})
    before = {path: path.stat().st_mtime_ns for path in (root, *root.rglob("*"))}
    progress = Progress(root)
    read, read_metrics = [], reading.read_metrics
    monkeypatch.setattr(reading, "read_metrics", lambda run: read.append(run.name) or read_metrics(run))
    progress.look()
    assert read == []
    assert {path: path.stat().st_mtime_ns for path in (root, *root.rglob("*"))} == before
    write(root / "b", "done", **{"val/r2": 0.9})
    progress.look()
    assert read == ["b"]
    assert progress.best == (root / "b", "val/r2", 0.9)
    root.rename(tmp_path / "t")  # a folder that vanishes is as before
    progress.look()
    assert progress.counts == {"done": 2}


def test_runs_that_no_plan_names(tmp_path: Path) -> None:
    """Those that were refused, but not the copies in a chosen ensemble."""
    root = tmp_path / "s"
    for name in ("a", "x/b"):
        write(root / name, "done")
    with FolderLock(root).held():
        progress = Progress(root)
        assert (progress.counts, progress.is_over) == ({"done": 2}, False)
        plan(root, ["a", "c"])
        write(root / "refused", "failed")
        progress.look()
        assert progress.counts == {"done": 2, "failed": 1, "waiting": 1}


def test_the_trials_that_a_search_has_not_asked_for_wait(tmp_path: Path) -> None:
    root = tmp_path / "s"
    plan(root, ["trial-0000", "trial-0001"])
    write(root / "trial-0000", "done")
    with FolderLock(root).held():
        write_total(root, None)
        progress = Progress(root)
        assert progress.counts == {"done": 1, "waiting": 1}
        write_total(root, 5)
        progress.look()
        assert progress.counts == {"done": 1, "waiting": 4}
    write(root / "trial-0001", "done")
    progress.look()
    assert progress.is_over  # out of time, or killed: none is left that could train
    assert progress.has_stopped


def test_the_time_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two runs of four have ended since the plan was made, a fifth before it, and a sixth is half trained."""
    root, now = tmp_path / "s", time.time()
    plan(root, ["a", "b"], ["c", "d"], ["e", "f"])
    write(root / "e", "done")
    os.utime(root / "e/metrics.json", (now - 200, now - 200))
    os.utime(root / "plan.json", (now - 100, now - 100))
    monkeypatch.setattr("time.time", lambda: now)
    progress = Progress(root)
    assert progress.time_left == ""
    write(root / "a", "done")
    write(root / "b", "diverged")
    write(root / "c", "running")
    log = "header\n" * 10_000 + "2026-01-01 00:00:00  epoch 1/40  train 1\n"
    (root / "c/train.log").write_text(f"{log}2026-01-01 00:00:00  epoch 20/40  train 1\n")
    with FolderLock(root / "c").held():
        progress.look()
        assert progress.epochs == {root / "c": (20, 40)}
        assert progress.time_left == "0:01:40"  # (6 − 3.5) · 100 s / 2.5
        assert line(progress).endswith("; about 0:01:40 left")
        write_total(root, 10)
        progress.look()
        assert progress.time_left == "0:04:20"
