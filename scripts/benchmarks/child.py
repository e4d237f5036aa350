"""Measurements in fresh processes, which print what they have found as JSON, or are timed as a whole."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.machine import ROOT
from mlplab.errors import RunFailed


def answer(module: str, *words: str, folder: Path, prefix: Sequence[str] = ()) -> dict[str, Any]:
    """What a module of this package prints.

    Args:
        folder: where it runs.
        prefix: stands before the command.

    Raises:
        RunFailed: if it ends with another status than 0.
    """
    ended = subprocess.run(
        [*prefix, sys.executable, "-m", f"benchmarks.{module}", *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT / "scripts")},
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        message = f"{module} {' '.join(words)} ended with status {ended.returncode}"
        raise RunFailed(f"{message}:\n{ended.stderr.strip()}")
    return json.loads(ended.stdout)


def seconds_of(name: str, *words: str) -> float:
    """How long a Python process takes in the folder scripts.

    Args:
        name: of what runs, for the message.
        words: after `python` on the command line.

    Raises:
        RunFailed: if it ends with another status than 0.
    """
    start = perf_counter()
    ended = subprocess.run(
        [sys.executable, *words], cwd=ROOT / "scripts", capture_output=True, text=True, check=False
    )
    seconds = perf_counter() - start
    if ended.returncode:
        raise RunFailed(f"{name} ended with status {ended.returncode}:\n{ended.stderr.strip()}")
    return seconds


def run_script(name: str, *words: str, folder: Path) -> None:
    """Runs a script of the folder scripts.

    Args:
        folder: where it runs.

    Raises:
        RunFailed: if it ends with another status than 0.
    """
    command = [sys.executable, str(ROOT / f"scripts/{name}.py"), *words]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise RunFailed(f"{name} ended with status {ended.returncode}:\n{ended.stderr.strip()}")
