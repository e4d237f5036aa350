"""Stacks of a sweep, and what all engines that train them have in common. Imports no torch."""

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, TypeVar

from mlplab import config
from mlplab.console import plural
from mlplab.data.cache import DataCache
from mlplab.errors import reason_of
from mlplab.imports import check_installed
from mlplab.runs.folder import record_failure
from mlplab.runs.planned_run import FINAL, PlannedRun, has_ended
from mlplab.runs.read_folder import read_metrics

T = TypeVar("T")

Job = Any  # what an engine returns for a stack: a future, or submitit's job

# After this time, every machine sees a file that another has written to a shared folder.
SHARED_FILE_SECONDS = 30.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PlannedStack:
    """Runs of a sweep that train together, with a title such as `stack 1 of 4` and a file for their state.

    Args:
        share: of the time that is left until their deadline when they begin.
    """

    title: str
    runs: Sequence[PlannedRun]
    file: Path
    share: float = 1.0

    @property
    def finished_message(self) -> str:
        """A log message."""
        return f"{self.title} finished: {plural(len(self.runs), 'run')}"

    def beginning_now(self) -> list[PlannedRun]:
        """The runs, with the deadline of their stack if it begins now."""
        now = time.time()
        brackets = (
            each.bracket and replace(each.bracket, deadline=now + self.share * (each.bracket.deadline - now))
            for each in self.runs
        )
        return [replace(run, bracket=bracket) for run, bracket in zip(self.runs, brackets, strict=True)]


def record_error(run: PlannedRun, error: Exception) -> list[Exception]:
    """Records in a run's folder why it failed, unless it has ended; returns the error if it could not."""
    if has_ended(run.folder, run.config):
        return []
    log.warning("%s failed: %s", run.folder.name, reason_of(error))
    record_failure(run.folder, run.config.plain(), reason_of(error))
    return [] if read_metrics(run.folder)["status"] in (*FINAL, "failed") else [error]


class WorkerLost(Exception):  # noqa: N818 - it names what happened
    """A worker was killed, or its machine was lost."""


@dataclass(eq=False)
class Engine(ABC):
    """Hands stacks to workers, as files that `write_job` writes.

    Attributes:
        launcher: its section of the configuration.
        root: the folder of the sweep.
        cache: the tables of the sweep.
        accelerator: that of its runs.
        slots: the number of stacks that train at a time, as far as it is known.
        room: the number of stacks to hand over at a time; 0: as many as are planned to train at a time.
        place: where they train, for messages.
        is_remote: whether that may be other machines, which may have other devices and see files late.
    """

    launcher: config.Launcher
    root: Path
    cache: DataCache
    accelerator: str

    slots = 1  # without types, these are no arguments
    room = 0
    place = ""
    is_remote = True

    def __post_init__(self) -> None:  # noqa: B027 - an engine may need nothing
        """Prepares the engine."""

    @abstractmethod
    def submit(self, stacks: Sequence[PlannedStack]) -> Sequence[Hashable]:
        """Hands stacks over; returns a job for each. Raises `UserError` if the cluster refuses them."""

    def ended(self, jobs: Iterable[Job]) -> list[Job]:
        """The jobs, futures if nothing else is said, that have ended, well or not."""
        return [job for job in jobs if job.done()]

    @abstractmethod
    def error(self, job: Job) -> BaseException | None:
        """What a job that has ended has raised, or `WorkerLost`; None if the folders of its runs show it."""

    def call(self, function: Callable[..., T], *arguments: object) -> T:
        """What a function of the tables and these arguments returns that needs torch, which is imported here.

        Engines whose workers have imported it may call it there, with their own tables.
        """
        return function(self.cache, *arguments)

    @abstractmethod
    def stop(self, *, at_once: bool = False) -> str:
        """Stops all workers, which save their state unless `at_once`; or says where they go on."""

    @abstractmethod
    def close(self) -> None:
        """Ends the workers."""


def open_engine(launcher: config.Launcher, root: Path, cache: DataCache, accelerator: str) -> Engine:
    """The engine of the sweep in the folder `root`.

    Raises:
        UserError: if its package is not installed, or the cluster cannot be reached.
    """
    name = launcher.engine.name
    path, *packages = {
        "local": ("processes:Processes",),
        "slurm": ("slurm:SlurmJobs", "submitit"),
        "ray": ("ray_cluster:RayCluster", "ray"),
    }[name]
    check_installed(f"hydra/launcher/engine={name}", name, *packages)
    kind: type[Engine] = resolve_name(f"mlplab.sweeps.engines.{path}")
    return kind(launcher, root, cache, accelerator)
