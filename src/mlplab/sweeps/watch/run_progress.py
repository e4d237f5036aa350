"""The progress of a run, read from the files in its folder. Imports no torch."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from math import isfinite
from pathlib import Path
from typing import get_args

from mlplab.errors import UserError
from mlplab.files import LOCK, is_free
from mlplab.runs.discovery import read_metrics
from mlplab.runs.folder import Status

STATES = ("done", "pruned", "diverged", "failed", "stopped", "running", "waiting")
"""How runs are counted. Those that were interrupted or killed have stopped, and can be resumed."""

ENDED = STATES[:4]

Stamp = tuple[int, int]
"""A value that changes whenever a file is written."""

LOG_BYTES = 16_384
"""The end of a log that is read: training logs some ten lines about epochs."""

EPOCH = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)  epoch (\d+)/(\d+)  ", re.MULTILINE)

RESUMED = "  resumes after epoch "


@dataclass(frozen=True)
class Epochs:
    """How far a run in training is, by its log.

    Attributes:
        stamp: of the log.
        seconds: of an epoch; None if it is not known.
        logged: when the last line was written, in seconds since 1970.
    """

    stamp: Stamp
    epoch: int
    epochs: int
    seconds: float | None
    logged: float


@dataclass(frozen=True)
class RunProgress:
    """What the files of a run say.

    Attributes:
        stamp: of its metrics.json.
        status: its status there.
        started: when it was started or resumed, in seconds since 1970.
        written: when its metrics.json was written: at the end, if it has ended.
        scores: its validation metrics if it is done.
        unheld: if its status is `running`, but nobody holds its folder: a stamp of folder and lock.
        epochs: None if it is not in training, or has not logged anything yet.
    """

    stamp: Stamp
    status: str
    started: float
    written: float
    scores: Mapping[str, float]
    unheld: Stamp | None = None
    epochs: Epochs | None = None

    @property
    def state(self) -> str:
        """One of `STATES`."""
        return "stopped" if self.status == "interrupted" or self.unheld is not None else self.status


def read_run_progress(folder: Path, earlier: RunProgress | None) -> RunProgress | None:
    """What the files of a run say; None if it has not written any."""
    stamp, written = _stamp(folder / "metrics.json")
    run = earlier
    if not earlier or earlier.stamp != stamp:
        run = _read_metrics(folder, stamp, written) or earlier
    if not run or run.status != "running":
        return run
    unheld = unheld_since(folder, run.unheld)
    if unheld and _stamp(folder / "metrics.json")[0] != stamp:  # it has just ended
        unheld = None
    return replace(run, unheld=unheld, epochs=_read_epochs(folder / "train.log", run.epochs))


def _read_metrics(folder: Path, stamp: Stamp, written: float) -> RunProgress | None:
    """What the files of a run say, if they can be read."""
    try:
        metrics = read_metrics(folder)
    except (OSError, UserError):
        return None
    status = metrics["status"]
    if status not in get_args(Status):
        return None
    scores = {
        name: float(value)
        for name, value in metrics.items()
        if status == "done" and name.startswith("val/") and isinstance(value, int | float) and isfinite(value)
    }
    return RunProgress(stamp, status, _stamp(folder / "config.yaml")[1] or written, written, scores)


def _read_epochs(path: Path, earlier: Epochs | None) -> Epochs | None:
    """What the log of a run says about its epochs since it was started or resumed."""
    stamp, logged = _stamp(path)
    if earlier and stamp == earlier.stamp:
        return earlier
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - LOG_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return earlier
    lines = EPOCH.findall(text.rpartition(RESUMED)[2])
    if not lines:
        return None
    (first, start, _), (last, epoch, epochs) = lines[0], lines[-1]
    elapsed, done = _seconds_between(first, last), int(epoch) - int(start)
    seconds = elapsed / done if done > 0 and elapsed > 0 else None
    return Epochs(stamp, int(epoch), int(epochs), seconds, logged)


def _seconds_between(first: str, last: str) -> float:
    """Seconds between two times in a log; zero if they are none."""
    try:
        return (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()
    except ValueError:
        return 0.0


def unheld_since(folder: Path, known: Stamp | None) -> Stamp | None:
    """When a folder and its lock were last changed if no process holds it; None if one does.

    Args:
        known: the result before. If it is the same, the lock is not tried again, because that takes it.
    """
    stamp = _stamp(folder)[0][1], _stamp(folder / LOCK)[0][1]
    return stamp if stamp == known or is_free(folder) else None


def _stamp(path: Path) -> tuple[Stamp, float]:
    """A value that changes whenever a file does, and when it was last written; zeros if it is not there."""
    try:
        found = path.stat()
    except OSError:
        return (0, 0), 0.0
    return (found.st_ino, found.st_mtime_ns), found.st_mtime
