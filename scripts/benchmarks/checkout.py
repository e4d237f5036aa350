"""A checkout of mlplab, and processes with its source and its environment."""

import atexit
import ctypes
import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from time import perf_counter
from typing import Any, Literal

import psutil

from mlplab.errors import RunFailed

ADOPT_ORPHANS = 36
"""Linux's PR_SET_CHILD_SUBREAPER: this process becomes the parent of processes whose own has ended."""

ROOT = Path(__file__).resolve().parents[2]  # the repository

PLAIN = (
    *("model.activation=relu", "model.periodic_features=0", "model.piecewise_linear_bins=0"),
    *("model.linear_path=false", "callbacks.early_stopping.patience=null"),
)
"""Hidden layers alone, trained to the end."""


@dataclass(frozen=True)
class Checkout:
    """A checkout of mlplab, whose scripts run with its own source, and its own environment if it has one.

    They run in a folder, by default in a new one, which is deleted when they have ended.
    """

    name: str
    path: Path
    clock: Literal["wall", "cpu"]

    def run(self, *words: str, folder: Path | None = None, status: int = 0) -> float:
        """The seconds of `python WORD…`, where `train.py` is a script of this checkout."""
        with TemporaryDirectory() as new:
            start, others = self.now(), set(psutil.Process().children())
            if sys.platform == "linux":
                ctypes.CDLL(None).prctl(ADOPT_ORPHANS, 1)
            self._output(words, folder or Path(new), status)
            # The process from which workers were forked, and they, count.
            while orphans := set(psutil.Process().children()) - others:
                psutil.wait_procs(orphans)
            return self.now() - start

    def ask(self, function: str, *words: str, folder: Path | None = None) -> dict[str, Any]:
        """What a function such as `child.train` returns in a process with the source of this checkout."""
        with TemporaryDirectory() as new:
            return json.loads(
                self._output(self.asking(function, *words), folder or Path(new)).splitlines()[-1]
            )

    def asking(self, function: str, *words: str) -> tuple[str, ...]:
        return ("-c", "from benchmarks import child; child.main()", self.clock, function, *words)

    def now(self) -> float:
        """The moment, or the processor time of all processes that have ended, in seconds."""
        if self.clock == "wall":
            return perf_counter()
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    def command(self, *words: str) -> list[str]:
        python = self.path / ".venv/bin/python"
        first = str(self.path / "scripts" / words[0]) if words[0].endswith(".py") else words[0]
        is_other = self.path != ROOT and python.exists()
        return [str(python) if is_other else sys.executable, first, *words[1:]]

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"PYTHONPATH": f"{self.path / 'src'}{os.pathsep}{ROOT / 'scripts'}"}

    def _output(self, words: Sequence[str], folder: Path, status: int = 0) -> str:
        """What a process prints; raises RunFailed if it ends with another status."""
        how: dict[str, Any] = {"capture_output": True, "text": True, "check": False}
        ended = subprocess.run(self.command(*words), cwd=folder, env=self.environment, **how)
        if ended.returncode != status:
            what = f"{self.name}: {' '.join(words)} ended with status {ended.returncode}"
            raise RunFailed(f"{what}:\n{ended.stderr.strip()}")
        return ended.stdout


def new_folder() -> Path:
    """A folder that is deleted when this process ends."""
    folder = Path(mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def git(folder: Path, *words: str) -> str:
    """What git prints; nothing if it fails."""
    command = ["git", "-C", os.fspath(folder), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
