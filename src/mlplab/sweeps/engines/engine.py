"""What all engines have in common: they hand the stacks of a sweep to workers. Imports no torch."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from mlplab import config
from mlplab.data.cache import DataCache
from mlplab.imports import check_installed
from mlplab.sweeps.planned_stack import PlannedStack

T = TypeVar("T")

Job = Any
"""What an engine returns for a stack: a future, or submitit's job."""

SHARED_FILE_SECONDS = 30.0
"""After this time, every machine sees a file that another has written to a shared folder."""


class WorkerLost(Exception):  # noqa: N818 - it names what happened
    """A worker was killed, or its machine was lost."""


class Engine(ABC):
    """Hands stacks to workers, as files that `write_job` writes.

    Attributes:
        launcher: its section of the configuration.
        root: the folder of the sweep.
        cache: the tables of the sweep.
        accelerator: that of its runs.
        slots: the number of stacks that train at a time, as far as it is known.
        room: the number of stacks to hand over at a time; None: as many as are planned to train at a time.
        place: where they train, for messages.
        is_remote: whether that may be other machines, which may have other devices and see files late.
    """

    slots = 1
    room: int | None = None
    place = ""
    is_remote = True

    def __init__(self, launcher: config.Launcher, root: Path, cache: DataCache, accelerator: str) -> None:
        self.launcher, self.root, self.cache, self.accelerator = launcher, root, cache, accelerator

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
    name, packages = launcher.engine.name, {"local": (), "slurm": ("submitit",), "ray": ("ray",)}
    check_installed(f"hydra/launcher/engine={name}", name, *packages[name])
    match launcher.engine:
        case config.SlurmEngine():
            from mlplab.sweeps.engines.slurm import SlurmJobs

            return SlurmJobs(launcher, root, cache, accelerator)
        case config.RayEngine():
            from mlplab.sweeps.engines.ray_cluster import RayCluster

            return RayCluster(launcher, root, cache, accelerator)
        case config.LocalEngine():
            from mlplab.sweeps.engines.processes import Processes

            return Processes(launcher, root, cache, accelerator)
