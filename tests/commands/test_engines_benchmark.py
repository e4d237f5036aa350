"""`benchmark.py engines`, with sweeps of a few short runs."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from benchmarks.engines.measure import measure
from support import ROOT

from mlplab.errors import UserError

SCRIPT = ROOT / "scripts/benchmark.py"

SMALL = ("repeats=1", "rows=100")


@pytest.mark.parametrize("words", [(), ("what=speedups",), ("what=start", "what=overhead")])
def test_one_benchmark_is_named(words: Sequence[str]) -> None:
    with pytest.raises(UserError, match=r"what: .*one of speedup, overhead, start, bookkeeping"):
        measure(words)


@pytest.mark.parametrize("words", [("what=overhead", "minutes=1"), ("what=bookkeeping", "runs=25")])
def test_each_benchmark_has_its_own_arguments(words: Sequence[str]) -> None:
    with pytest.raises(UserError, match=words[1].partition("=")[0]):
        measure(words)


def measured(what: str, folder: Path, *words: str) -> tuple[str, dict[tuple[Any, ...], float]]:
    """A benchmark that has ended well with tables of at most 80 columns, and the median of each time."""
    command = [sys.executable, os.fspath(SCRIPT), "engines", f"what={what}", *words]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert all(len(line.rstrip()) <= 80 for line in ended.stdout.splitlines()), ended.stdout
    stored = json.loads((folder / f"outputs/benchmarks/engines-{what}.json").read_text())
    return ended.stdout, {tuple(each["of"]): each["median"] for each in stored["times"]}


@pytest.mark.slow
def test_two_workers_are_beside_one(tmp_path: Path) -> None:
    few = ("minutes=0.001", "stacks=2", "members=2")
    printed, times = measured("speedup", tmp_path, *SMALL, *few)
    assert [*times] == [(engine, workers) for engine in ("local", "submitit", "Ray") for workers in (1, 2)]
    assert f"{times['local', 1] / times['local', 2]:.3g}×" in printed


@pytest.mark.slow
def test_engines_are_beside_none(tmp_path: Path) -> None:
    printed, times = measured("overhead", tmp_path, *SMALL, "stacks=2", "members=2", "epochs=2")
    assert len(times) == 5
    assert min(times.values()) > 0
    assert "Ray, 1 worker, and its start" in printed


@pytest.mark.slow
def test_many_stacks_are_started(tmp_path: Path) -> None:
    _, times = measured("start", tmp_path, *SMALL, "stacks=2", "epochs=1")
    assert [*times] == [("local", 2), ("submitit", 2), ("Ray", 2)]


@pytest.mark.slow
def test_bookkeeping_is_measured_without_training(tmp_path: Path) -> None:
    printed, times = measured("bookkeeping", tmp_path, "runs=20", "members=1,4")
    parts = ("compose", "plan", "drive", "summarize")
    assert [*times] == [(members, part) for members in (1, 4) for part in parts]
    assert all(0 < seconds < 60 for seconds in times.values())
    stored = json.loads((tmp_path / "outputs/benchmarks/engines-bookkeeping.json").read_text())
    for each in stored["found"].values():
        assert each["peak"] > 2**27
    assert "peak MiB" in printed
