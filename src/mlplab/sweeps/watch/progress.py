"""The progress of a sweep, or of a run alone, read from the files in its folder while it runs."""

import re
import time
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from mlplab.config.metrics import sign_of
from mlplab.errors import UserError
from mlplab.files import LOCK, is_free
from mlplab.runs.discovery import read_config, read_metrics, runs_below
from mlplab.sweeps.folder import PLAN_FILE, read_stacks, read_total

STATES = ("done", "pruned", "diverged", "failed", "stopped", "running", "waiting")
"""How runs are counted. Those that were interrupted or killed have stopped, and can be resumed."""

ENDED = STATES[:4]

EPOCH = re.compile(rb"  epoch (\d+)/(\d+)  ")
LOG_BYTES = 16_384
"""The end of a log that is read: training logs some ten lines about epochs."""

Stamp = tuple[int, int]
"""Changes whenever a file is written: its inode, and when that was, in nanoseconds; zeros without a file."""

METRICS = "metrics.json"


class Progress:
    """What the files of a sweep say. A file that is missing or damaged counts as unchanged: it may be late.

    Attributes:
        stacks: the folders of runs that train together.
        states: the state of each run, one of `STATES`.
        epochs: the last epoch that a run in training has logged, and the number of all.
        total: the number of runs, with the trials that a search has yet to ask for.
        is_held: whether a process holds the folder, such as the command that trains the sweep.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.stacks = root, list[list[Path]]()
        self._metrics: dict[Path, tuple[Stamp, dict[str, Any]]] = {}
        self._free: dict[Path, tuple[Stamp, Stamp]] = {}
        self.look()

    def look(self) -> None:
        """Reads what has changed."""
        with suppress(OSError):  # a folder that vanishes
            plan = read_stacks(self.root)
            planned = {run for stack in plan for run in stack}
            alone = [[run] for run in runs_below(self.root) if run not in planned]
            self.stacks = [*plan, *alone] or self.stacks
        self.states = {run: self._state(run) for stack in self.stacks for run in stack}
        self.epochs = {run: _logged_epoch(run) for run, state in self.states.items() if state == "running"}
        self.total = max(len(self.states), read_total(self.root) or 0)
        self.is_held = bool(self.epochs) or not self._is_free(self.root)

    def _state(self, run: Path) -> str:
        stamp = stamp_of(run / METRICS)
        if stamp != (0, 0) and (run not in self._metrics or stamp != self._metrics[run][0]):
            with suppress(OSError, UserError):
                self._metrics[run] = stamp, read_metrics(run)
        status = str(self._metrics[run][1]["status"]) if run in self._metrics else "unknown"
        if status == "running" and self._is_free(run):
            return "stopped" if stamp_of(run / METRICS) == stamp else status  # it has just ended
        return {"interrupted": "stopped", "unknown": "waiting"}.get(status, status)

    def _is_free(self, folder: Path) -> bool:
        """Whether nobody holds a folder. A lock that is free is tried only once, because that takes it."""
        stamp = stamp_of(folder / METRICS), stamp_of(folder / LOCK)
        if stamp != self._free.get(folder) and is_free(folder):
            self._free[folder] = stamp
        return stamp == self._free.get(folder)

    @property
    def counts(self) -> dict[str, int]:
        """The number of runs in each state that occurs."""
        counts = Counter(self.states.values())
        counts["waiting"] += self.total - len(self.states)
        return {state: counts[state] for state in STATES if counts[state]}

    @property
    def is_over(self) -> bool:
        """Whether all runs have ended, and with them the command that trained them."""
        return not self.is_held and bool(self.states) and set(self.states.values()) <= set(ENDED)

    @property
    def has_stopped(self) -> bool:
        """Whether runs are left, and somebody must type the command again."""
        return "stopped" in self.counts or (not self.is_held and not set(self.counts) <= set(ENDED))

    @property
    def best(self) -> tuple[Path, str, float] | None:
        """The folder of the best run so far, the validation metric that it monitors, and its value."""
        done = [run for run, state in self.states.items() if state == "done"]
        with suppress(OSError, UserError, IndexError, ValueError):  # there is none yet
            monitor = str(read_config(done[0])["monitor"])
            values = {run: self._metrics[run][1].get(monitor) for run in done}
            scores = {run: float(value) for run, value in values.items() if value is not None}
            best = min(scores, key=lambda run: sign_of(monitor) * scores[run])
            return best, monitor, scores[best]
        return None

    @property
    def time_left(self) -> str:
        """The time until all runs have ended, such as `0:02:10`; empty if it is not known.

        The runs that are left train at the speed since the stacks were planned.
        """
        shares = {run: epoch / epochs for run, (epoch, epochs) in self.epochs.items() if epochs}
        shares |= {run: 1.0 for run, state in self.states.items() if state in ENDED}
        _, planned = stamp_of(self.root / PLAN_FILE)
        recent = sum(share for run, share in shares.items() if self._metrics[run][0][1] > planned)
        if not (self.epochs and planned and recent):
            return ""
        seconds = (self.total - sum(shares.values())) * (time.time() - planned / 1e9) / recent
        return str(timedelta(seconds=round(seconds)))

    def name(self, run: Path) -> str:
        """What a run is called in the sweep."""
        return str(run.relative_to(self.root)) if run != self.root else run.name


def _logged_epoch(run: Path) -> tuple[int, int]:
    """The last epoch in a run's log and the number of all; zeros if there is none."""
    with suppress(OSError), (run / "train.log").open("rb") as file:
        file.seek(max(0, (run / "train.log").stat().st_size - LOG_BYTES))
        if lines := EPOCH.findall(file.read()):
            return int(lines[-1][0]), int(lines[-1][1])
    return 0, 0


def stamp_of(path: Path) -> Stamp:
    """The current stamp of a file."""
    with suppress(OSError):
        status = path.stat()
        return status.st_ino, status.st_mtime_ns
    return 0, 0
