import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from faults import campaign
from support import ROOT

SWEEP = (
    "-m",
    *("data=synthetic", "data.rows=100", "data.noise=0.1", "model.hidden=[8]", "baselines=[]"),
    "figures=none",
    *("scheduler=constant", "callbacks.early_stopping.patience=null", "callbacks.checkpoint.every_minutes=0"),
    *("seed=range(4)", "hydra.launcher.max_members=2", "name=s"),
)
"""Two stacks of two runs that save their state after each step."""


@dataclass
class Site:
    """Where sweeps train: the overrides that choose it, and what loses a machine that trains."""

    words: Sequence[str]
    lose_node: Callable[[], None] | None = None


@dataclass
class Sweep:
    process: subprocess.Popen[str]
    folder: Path

    def run(self, seed: int) -> Path:
        return self.folder / f"seed={seed}"

    def wait_for_epoch(self, seed: int, epoch: int) -> None:
        log = self.run(seed) / "train.log"
        self.wait_until(lambda: log.exists() and f"epoch {epoch}/" in log.read_text())

    def wait_until_all_train(self) -> None:
        for seed in (0, 2):
            self.wait_for_epoch(seed, 20)

    def wait_until(self, condition: Callable[[], bool], timeout: float = 120) -> None:
        deadline = time.monotonic() + timeout
        while not condition():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.process.kill()
                raise AssertionError(self.process.communicate())
            time.sleep(0.02)

    def worker(self, seed: int) -> psutil.Process:
        """The process that trains a run: it holds the lock of its folder."""
        lock = os.fspath(self.run(seed) / ".lock")
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if any(file.path == lock for file in process.open_files()):
                    return process
        raise AssertionError(f"nobody holds {lock}")

    def end(self, timeout: float = 180) -> tuple[int, str]:
        out, err = self.process.communicate(timeout=timeout)
        return self.process.returncode, out + err


def start(here: Path, site: Site, *words: str) -> Sweep:
    here.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, os.fspath(ROOT / "scripts/train.py"), *SWEEP, "trainer.max_epochs=200"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    words = (*site.words, *words)
    process = subprocess.Popen([*command, *words], cwd=here, text=True, start_new_session=True, **pipes)
    return Sweep(process, here / "outputs/s")


def outcomes(folder: Path) -> dict[str, dict[str, Any]]:
    return {run.parent.name: campaign.outcome(run.parent) for run in sorted(folder.glob("*/config.yaml"))}
