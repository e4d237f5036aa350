"""Where the stacks of a sweep train: in this process, or by an engine that is kept from batch to batch."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console

from mlplab import config
from mlplab.data.cache import DataCache
from mlplab.runs.devices import available_cores
from mlplab.sweeps.engines.drive import drive
from mlplab.sweeps.engines.engine import Cluster
from mlplab.sweeps.engines.processes import Processes
from mlplab.sweeps.train_stack import Outcome, StackJob, train_patiently

log = logging.getLogger(__name__)


class SweepEngine:
    """Trains the stacks of a sweep.

    Args:
        launcher: the section of the configuration.
        root: the sweep's folder.

    Attributes:
        launcher: the section.

    Raises:
        UserError: if the cluster cannot be reached.
    """

    def __init__(self, launcher: config.Launcher, root: Path) -> None:
        self.launcher = launcher
        self._processes: Processes | None = None
        self._cluster: Cluster | None = None
        self._warn_of_many_workers()
        match launcher.engine:
            case config.SlurmEngine():
                from mlplab.sweeps.engines.slurm import SlurmJobs

                self._cluster = SlurmJobs(launcher.engine, root, launcher.workers)
            case config.RayEngine():
                # Else Ray gives workers of a command of `uv run` a copy of the working directory.
                os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
                from mlplab.sweeps.engines.ray_cluster import RayCluster

                self._cluster = RayCluster(launcher.engine, launcher.workers)

    def _warn_of_many_workers(self) -> None:
        engine, workers, cores = self.launcher.engine, self.launcher.workers or 1, available_cores()
        here = "local" in (engine.name, getattr(engine, "cluster", ""), getattr(engine, "address", ""))
        if here and workers > max(cores, torch.cuda.device_count()):
            log.warning("hydra.launcher.workers=%d: this machine has %d cores", workers, cores)

    @property
    def is_elsewhere(self) -> bool:
        """Whether stacks may train on other machines, which may have other devices."""
        return self._cluster is not None

    def slots(self, accelerator: str) -> int:
        """How many stacks can train at a time: a core or a GPU each.

        Args:
            accelerator: of the runs.
        """
        if self._cluster:
            return self._cluster.slots
        gpus = 0 if accelerator == "cpu" else torch.cuda.device_count()
        return gpus or available_cores()

    def place(self, workers: int) -> str:
        """Where that many stacks at a time train, for messages; empty for this process."""
        if self._cluster:
            return self._cluster.place
        return f"{workers} processes" if workers > 1 else ""

    def train(
        self, stacks: Sequence[StackJob], workers: int, seen: Path, cache: DataCache
    ) -> dict[Path, Outcome]:
        """Trains stacks; returns the outcome of each run by its folder.

        Args:
            workers: how many stacks train at a time.
            seen: a file in the sweep's folder that workers must see.

        Raises:
            UserError, Interrupted, CannotWrite: as `drive`.
        """
        if self._cluster:
            self._warn_of_seldom_checkpoints(stacks)
            return drive(stacks, self._cluster, seen, cache)
        if workers == 1:
            return _train_here(stacks, cache)
        return drive(stacks, self._started(workers), seen, cache)

    def _warn_of_seldom_checkpoints(self, stacks: Sequence[StackJob]) -> None:
        engine = self.launcher.engine
        if not isinstance(engine, config.SlurmEngine) or not stacks:
            return
        minutes = stacks[0].runs[0].config.callbacks.checkpoint.every_minutes
        if minutes is None or minutes >= engine.minutes:
            log.warning(
                "callbacks.checkpoint.every_minutes=%s: jobs of %d minutes that Slurm kills without a signal "
                "start from the beginning",
                "null" if minutes is None else f"{minutes:g}",
                engine.minutes,
            )

    def _started(self, workers: int) -> Processes:
        """At least that many processes."""
        if not self._processes or self._processes.workers < workers:
            self.close()
            self._processes = Processes(workers, torch.cuda.device_count())
        return self._processes

    def close(self) -> None:
        """Ends the workers."""
        for engine in (self._processes, self._cluster):
            if engine:
                engine.close()
        self._processes = self._cluster = None


def _train_here(stacks: Sequence[StackJob], cache: DataCache) -> dict[Path, Outcome]:
    """Trains one stack after another in this process."""
    outcomes: dict[Path, Outcome] = {}
    console = Console()
    for stack in stacks:
        outcomes |= train_patiently(stack, console, cache)
        if len(stacks) > 1 and not console.is_terminal:
            log.info("%s", stack.finished_message)
    return outcomes
