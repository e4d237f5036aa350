"""What all engines have in common: they hand the stacks of a sweep to workers. Imports no torch."""

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from mlplab import config


@runtime_checkable
class Job(Protocol):
    """A stack that a worker trains."""

    def done(self) -> bool:
        """Whether it has ended, well or not."""


class WorkerLost(Exception):  # noqa: N818 - it names what happened
    """A worker was killed, or its machine was lost."""


class Engine(ABC):
    """Hands stacks to workers, as files that `write_job` has written.

    Attributes:
        launcher: its section of the configuration.
        slots: the number of stacks that train at a time, as far as it is known.
        room: the number of stacks to hand over at a time; None: as many as are planned to train at a time.
        place: where they train, for messages.
        is_elsewhere: whether that may be other machines, which may have other devices.
    """

    launcher: config.Launcher
    slots = 1
    room: int | None = None
    place = ""
    is_elsewhere = True

    @abstractmethod
    def submit(self, paths: Sequence[Path]) -> Sequence[Job]:
        """Hands stacks over.

        Raises:
            UserError: if the cluster refuses them.
        """

    @abstractmethod
    def error(self, job: Any) -> BaseException | None:
        """What a job that is done has raised, or `WorkerLost`; None if the folders of its runs tell."""

    @abstractmethod
    def stop(self) -> str:
        """Stops all workers, which save their state; or says where they go on without this command."""

    def kill(self) -> None:  # noqa: B027 - not all can
        """Ends workers on this machine that do not stop."""

    @abstractmethod
    def close(self) -> None:
        """Ends the workers."""


def open_engine(launcher: config.Launcher, root: Path, accelerator: str) -> Engine:
    """The engine of a sweep.

    Args:
        root: the sweep's folder.
        accelerator: `cpu`, `cuda` or `auto`: the devices of processes on this machine.

    Raises:
        UserError: if the cluster cannot be reached.
    """
    match launcher.engine:
        case config.SlurmEngine():
            from mlplab.sweeps.engines.slurm import SlurmJobs

            return SlurmJobs(launcher, launcher.engine, root)
        case config.RayEngine():
            from mlplab.sweeps.engines.ray_cluster import RayCluster

            return RayCluster(launcher, launcher.engine)
        case config.LocalEngine():
            from mlplab.sweeps.engines.processes import Processes

            return Processes(launcher, accelerator)


def available_cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
