"""Processes that train stacks: what they have imported, and what the command has not."""

import sys
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path

import polars as pl
import pytest
from support import process

from mlplab.config import Launcher
from mlplab.data.cache import DataCache
from mlplab.sweeps.engines import processes
from mlplab.sweeps.engines.processes import Processes

COMMAND = """
import sys
from mlplab.cli.main import run
try:
    run("train", sys.argv[1:])
finally:
    print("torch" in sys.modules)
"""

REPORT = """
import gc, os, signal, sys
import mlplab.sweeps.engines.preload
threads = len(os.listdir("/proc/self/task"))
before = set(sys.modules)
import mlplab.sweeps.train_stack
import torch
later = {name.partition(".")[0] for name in set(sys.modules) - before}
ignored = signal.getsignal(signal.SIGINT) == signal.SIG_IGN
print(threads, torch.cuda.is_initialized(), ignored, gc.get_freeze_count() > 100_000)
print(*later & {"torch", "lightning", "scipy", "sklearn"}, flush=True)  # nothing is flushed at the end
"""


@pytest.mark.slow(ci=True)
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere, each worker imports its own packages")
def test_all_that_workers_import_is_there_without_threads_or_devices(tmp_path: Path) -> None:
    (tmp_path / "lightning.py").write_text("raise SystemExit('of the user')")
    done = process(["-c", REPORT], tmp_path, OPENBLAS_NUM_THREADS="1")  # its threads end before a fork
    assert (done.status, done.out.splitlines()) == (0, ["1 False True True", ""]), done


@pytest.mark.slow(ci=True)
def test_a_search_in_processes_leaves_torch_to_them(tmp_path: Path) -> None:
    """Also its test and its figures; so do two processes cost little more than one, even on one core."""
    quick = ("data=synthetic", "data.rows=60", "model.hidden=[4]", "trainer.max_epochs=2", "baselines=[]")
    searched = ("optimizer.lr=interval(0.001,0.1)", "sweep.trials=2", "name=s", "hydra.launcher.workers=2")
    done = process(["-c", COMMAND, "-m", *quick, *searched], tmp_path)
    assert (done.status, done.out.splitlines()[-1]) == (0, "False"), done
    assert list(tmp_path.glob("outputs/s/*/figures"))
    assert "rmse" in (tmp_path / "outputs/s/best.yaml").read_text()


@pytest.mark.parametrize("frame", [None, pl.DataFrame({"a": [1]})], ids=["files", "frame"])
def test_what_needs_torch_is_asked_of_a_process_unless_only_this_one_has_the_rows(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, frame: pl.DataFrame | None
) -> None:
    monkeypatch.setattr(processes, "_context", lambda: get_context("spawn"))  # which starts without torch
    section = Launcher.model_validate({"max_members": None, "workers": 2, "engine": {"name": "local"}})
    with closing(Processes(section, tmp_path, DataCache(frame), "cpu")) as engine:
        assert (engine.call(id) == id(engine.cache)) == (frame is not None)
