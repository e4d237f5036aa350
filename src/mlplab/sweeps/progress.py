"""The progress of a sweep, read from the files in its folder while it runs. Imports no torch."""

import os
import re
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import get_args

from mlplab.config.metrics import sign_of
from mlplab.errors import UserError
from mlplab.files import LOCK, is_free
from mlplab.runs.discovery import DEPTH, is_ensemble, is_run, read_config, read_metrics, runs_below
from mlplab.runs.folder import Stamp, Status
from mlplab.sweeps.folder import PLAN_FILE, STUDY_FILES, read_stacks, read_total

STATES = ("done", "pruned", "diverged", "failed", "stopped", "running", "waiting")
"""How runs are counted. Those that were interrupted or killed have stopped, and can be resumed."""

ENDED = STATES[:4]

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
        unheld: if its status is `running`, but no process holds its folder: a stamp of the folder and its lock.
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


@dataclass(frozen=True)
class Training:
    """A stack in training.

    Attributes:
        runs: the folders of its runs that are in training.
        started: when it was started or resumed, in seconds since 1970.
        epochs: of the run that has come furthest: others may have stopped early.
    """

    runs: Sequence[Path]
    started: float
    epochs: Epochs | None


@dataclass(frozen=True)
class Best:
    """The best finished run by the validation metric that it monitors."""

    folder: Path
    monitor: str
    value: float


@dataclass(frozen=True)
class Progress:
    """The state of a sweep, or of a run alone.

    Attributes:
        root: the folder.
        stacks: the folders of runs that train together, of all runs that are known.
        runs: the runs that have left something in their folders.
        trials: how many trials a search was asked for; None: not known, or not a search.
        is_total_known: whether no further runs will be added.
        monitor: the validation metric that the first finished run monitors; empty if none has finished.
        unheld: if no process trains a run or holds the folder: a stamp of the folder and its lock.
    """

    root: Path
    stacks: Sequence[Sequence[Path]]
    runs: Mapping[Path, RunProgress]
    trials: int | None
    is_total_known: bool
    monitor: str
    unheld: Stamp | None

    @property
    def total(self) -> int:
        """The number of runs, as far as it is known."""
        return max(sum(map(len, self.stacks)), self.trials or 0)

    @property
    def counts(self) -> dict[str, int]:
        """The number of runs in each state that occurs."""
        counts = Counter(run.state for run in self.runs.values())
        counts["waiting"] = self.total - counts.total()
        return {state: counts[state] for state in STATES if counts[state]}

    @property
    def ended(self) -> int:
        """The number of runs that have ended, well or not."""
        return sum(self.counts.get(state, 0) for state in ENDED)

    @property
    def is_over(self) -> bool:
        """Whether all known runs have ended, and with them the command that trained them."""
        return self.unheld is not None and 0 < self.ended == sum(map(len, self.stacks))

    @property
    def has_stopped(self) -> bool:
        """Whether runs are left, and somebody must type the command again."""
        return "stopped" in self.counts or (self.unheld is not None and self.ended < self.total)

    @property
    def training(self) -> Iterator[Training]:
        """The stacks in training."""
        for stack in self.stacks:
            runs = {run: self.runs[run] for run in stack if run in self.runs}
            running = {folder: run for folder, run in runs.items() if run.state == "running"}
            if running:
                logged = [run.epochs for run in running.values() if run.epochs]
                furthest = max(logged, key=lambda epochs: epochs.epoch, default=None)
                yield Training(list(running), min(run.started for run in running.values()), furthest)

    @property
    def best(self) -> Best | None:
        """The best run so far."""
        sign = sign_of(self.monitor) if self.monitor else 1
        scored = {
            folder: run.scores[self.monitor]
            for folder, run in self.runs.items()
            if self.monitor in run.scores
        }
        if not scored:
            return None
        folder = min(scored, key=lambda each: sign * scored[each])
        return Best(folder, self.monitor, scored[folder])


def read_progress(root: Path, earlier: Progress | None = None) -> Progress:
    """Reads the progress of a sweep, or of a run alone.

    A file that is missing, half written or damaged counts as unchanged: another process may be writing it,
    and a shared file system may show it late.

    Args:
        root: the folder.
        earlier: the progress before. Only files that have changed since are read.
    """
    stacks, is_total_known = _read_stacks(root, earlier.stacks if earlier else [])
    known = earlier.runs if earlier else {}
    read = ((run, _read_run(run, known.get(run))) for stack in stacks for run in stack)
    runs = {folder: run for folder, run in read if run}
    trials = read_total(root) or (earlier.trials if earlier else None)
    unheld = None
    if all(run.state != "running" for run in runs.values()):
        unheld = _unheld(root, earlier.unheld if earlier else None)
    monitor = (earlier.monitor if earlier else "") or _monitor(runs)
    return Progress(root, stacks, runs, trials, is_total_known or trials is not None, monitor, unheld)


def _read_stacks(root: Path, earlier: Sequence[Sequence[Path]]) -> tuple[list[Sequence[Path]], bool]:
    """The folders of each stack's runs, with runs that are not in the plan alone, and whether that is all."""
    if is_run(root):
        return [[root]], True
    planned = read_stacks(root / PLAN_FILE)
    in_plan = {run for stack in planned or earlier for run in stack}
    found = dict.fromkeys([*(run for stack in earlier for run in stack), *_found(root, in_plan)])
    others = [[run] for run in found if run not in in_plan]
    is_search = any((root / name).is_file() for name in STUDY_FILES.values())
    return [*(planned or earlier), *others], bool(planned) and not is_search


def _found(root: Path, known: Container[Path]) -> Iterator[Path]:
    """The folders of runs below a sweep's that are not known."""
    with suppress(OSError):  # a folder that vanished
        for entry in os.scandir(root):
            path = root / entry.name
            if path not in known and entry.is_dir() and entry.name[0] != "." and not is_ensemble(path):
                yield from runs_below(path, DEPTH - 2)


def _read_run(folder: Path, earlier: RunProgress | None) -> RunProgress | None:
    """What the files of a run say; None if it has not written any."""
    stamp, written = _stamp(folder / "metrics.json")
    run = earlier
    if not earlier or earlier.stamp != stamp:
        run = _read_metrics(folder, stamp, written) or earlier
    if not run or run.status != "running":
        return run
    unheld = _unheld(folder, run.unheld)
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
        if name.startswith("val/") and isinstance(value, int | float) and status == "done"
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
    elapsed, done = (_time(last) - _time(first)).total_seconds(), int(epoch) - int(start)
    return Epochs(
        stamp, int(epoch), int(epochs), elapsed / done if done > 0 and elapsed > 0 else None, logged
    )


def _time(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S")


def _unheld(folder: Path, known: Stamp | None) -> Stamp | None:
    """When a folder and its lock were last changed if no process holds it; None if one does.

    Args:
        known: the result before. If it is the same, the lock is not tried again, because that takes it.
    """
    stamp = _stamp(folder)[0][1], _stamp(folder / LOCK)[0][1]
    return stamp if stamp == known or is_free(folder) else None


def _monitor(runs: Mapping[Path, RunProgress]) -> str:
    """The metric that the first finished run monitors; empty if there is none, or it cannot be read yet."""
    for folder, run in runs.items():
        if run.state == "done":
            with suppress(OSError, UserError):
                return str(read_config(folder)["monitor"])
            break
    return ""


def _stamp(path: Path) -> tuple[Stamp, float]:
    """A value that changes whenever a file does, and when it was last written; zeros if it is not there."""
    try:
        found = path.stat()
    except OSError:
        return (0, 0), 0.0
    return (found.st_ino, found.st_mtime_ns), found.st_mtime
