"""The progress of a sweep, read from the files in its folder while it runs. Imports no torch."""

import os
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mlplab.config.metrics import sign_of
from mlplab.errors import UserError
from mlplab.runs.discovery import DEPTH, is_ensemble, is_run, read_config, runs_below
from mlplab.sweeps.folder import PLAN_FILE, STUDY_FILES, read_stacks, read_total
from mlplab.sweeps.watch.run_progress import (
    ENDED,
    STATES,
    Epochs,
    RunProgress,
    Stamp,
    read_run_progress,
    unheld_since,
)


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
        unheld: if nobody trains a run or holds the folder: a stamp of folder and lock.
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
    known = earlier.runs if earlier else {}
    stacks, is_total_known = _read_stacks(root, earlier.stacks if earlier else [], known)
    read = ((run, read_run_progress(run, known.get(run))) for stack in stacks for run in stack)
    runs = {folder: run for folder, run in read if run}
    trials = read_total(root) or (earlier.trials if earlier else None)
    unheld = None
    if all(run.state != "running" for run in runs.values()):
        unheld = unheld_since(root, earlier.unheld if earlier else None)
    monitor = (earlier.monitor if earlier else "") or _monitor(runs)
    return Progress(root, stacks, runs, trials, is_total_known or trials is not None, monitor, unheld)


def _read_stacks(
    root: Path, earlier: Sequence[Sequence[Path]], started: Iterable[Path]
) -> tuple[list[Sequence[Path]], bool]:
    """The folders of each stack's runs, with runs that are not in the plan alone, and whether that is all."""
    if is_run(root):
        return [[root]], True
    planned = read_stacks(root / PLAN_FILE)
    in_plan = {run for stack in planned or earlier for run in stack}
    found = dict.fromkeys([*started, *_found(root, in_plan)])
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


def _monitor(runs: Mapping[Path, RunProgress]) -> str:
    """The metric that the first finished run monitors; empty if there is none, or it cannot be read yet."""
    for folder, run in runs.items():
        if run.state == "done":
            with suppress(OSError, UserError, KeyError):
                return str(read_config(folder)["monitor"])
            break
    return ""
