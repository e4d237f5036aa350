"""Trains stacks as tasks of a Ray cluster, whose machines share the folder and the tables."""

import logging
import os
import signal
import socket
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from mlplab import config
from mlplab.errors import Fault, UserError, listed
from mlplab.sweeps.engines.engine import Engine, WorkerLost
from mlplab.sweeps.engines.worker import run_job

THIS_MACHINE = "local"
"""The address that starts Ray on this machine."""

GIBIBYTE = 2**30

CONNECT_SECONDS = 10

MAX_TASKS = 10_000
"""The largest number of tasks in Ray's queue."""


class RayCluster(Engine):
    """A task for each stack.

    Raises:
        UserError: if there is no cluster at the address, or it has no room for any stack.
    """

    def __init__(self, launcher: config.Launcher, section: config.RayEngine) -> None:
        self.launcher = launcher
        _connect(section.address)
        wanted = {"CPU": section.cpus, "GPU": section.gpus, "memory": (section.memory_gib or 0) * GIBIBYTE}
        try:
            self.slots = _slots({name: amount for name, amount in wanted.items() if amount})
        except UserError:
            ray.shutdown()
            raise
        self._task: Any = ray.remote(
            num_cpus=section.cpus, num_gpus=section.gpus, memory=int(wanted["memory"]), max_retries=0
        )(run_job)
        self._tasks: dict[Future[bool], ray.ObjectRef[bool]] = {}

    def place(self, workers: int) -> str:
        """The cluster."""
        return "the Ray cluster"

    def room(self, workers: int) -> int:
        """Ray keeps tasks in a queue until there is room for them."""
        return self.launcher.workers or MAX_TASKS

    def submit(self, paths: Sequence[Path]) -> list[Future[bool]]:
        """Starts a task for each stack."""
        tasks = [self._task.remote(path) for path in paths]
        futures: list[Future[bool]] = [task.future() for task in tasks]
        self._tasks |= zip(futures, tasks, strict=True)
        return futures

    def error(self, job: Future[bool]) -> BaseException | None:
        """What the task has raised."""
        self._tasks.pop(job, None)
        error = job.exception()
        if isinstance(error, RayTaskError):
            return error.cause
        return (
            WorkerLost(f"its worker was lost ({type(error).__name__})")
            if isinstance(error, RayError)
            else error
        )

    def stop(self) -> str:
        """Interrupts the tasks."""
        for task in self._tasks.values():
            ray.cancel(task, force=False)
        return ""

    def close(self) -> None:
        """Leaves the cluster."""
        ray.shutdown()


def _connect(address: str) -> None:
    """Connects to a cluster.

    Raises:
        UserError: if there is none.
    """
    # Else Ray gives workers of a command of `uv run` a copy of the working directory.
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    on_sigterm = signal.getsignal(signal.SIGTERM)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Ray's dependencies
        try:
            _check_reachable(address)
            ray.init(
                address,
                namespace="mlplab",
                log_to_driver=False,
                logging_level=logging.ERROR,
                configure_logging=False,
                include_dashboard=False if address == THIS_MACHINE else None,
            )
        except (OSError, RuntimeError, ValueError) as error:
            remedy = (
                "start it: ray start --head; or start Ray on this machine only: "
                f"hydra.launcher.engine.address={THIS_MACHINE}"
            )
            where = f"hydra.launcher.engine.address={address}"
            raise UserError(Fault("no Ray cluster can be reached", where, remedy=remedy)) from error
    signal.signal(signal.SIGTERM, on_sigterm)  # Ray's exits with another status


def _check_reachable(address: str) -> None:
    """Checks that something answers at an address, which Ray would try for minutes.

    Raises:
        OSError: otherwise.
    """
    place = os.environ.get("RAY_ADDRESS", "") if address == "auto" else address
    host, separator, port = place.removeprefix("ray://").rpartition(":")
    if separator and port.isdigit():
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()


def _slots(wanted: Mapping[str, float]) -> int:
    """The number of tasks that the cluster can run at a time.

    Args:
        wanted: what each takes: `CPU`, `GPU`, and `memory` in bytes.

    Raises:
        UserError: if there is no room for any.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    slots = sum(min(int(node.get(name, 0) / amount) for name, amount in wanted.items()) for node in nodes)
    if not slots:
        has = listed(_described({name: node.get(name, 0) for name in wanted}) for node in nodes)
        remedy = "lower cpus, gpus or memory_gib of hydra.launcher.engine, or add such a node"
        raise UserError(Fault(f"no node has {_described(wanted)} for a stack", "Ray", has, remedy=remedy))
    return slots


def _described(resources: Mapping[str, float]) -> str:
    return " and ".join(
        f"{amount / GIBIBYTE:.3g} GiB" if name == "memory" else f"{amount:g} {name}"
        for name, amount in resources.items()
    )
