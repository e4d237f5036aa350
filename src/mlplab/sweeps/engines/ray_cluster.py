"""Trains stacks as tasks of a Ray cluster, whose machines share the folder and the tables."""

import os
import signal
import socket
import sys
import warnings
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError
from typing_extensions import override

from mlplab import config
from mlplab.errors import refusal
from mlplab.sweeps.engines.engine import Engine, PlannedStack, WorkerLost
from mlplab.sweeps.engines.worker import run_job, write_job


class RayCluster(Engine):
    """A task for each stack.

    Raises:
        UserError: if there is no cluster at the address, or it has no room for any stack.
    """

    place = "the Ray cluster"

    def __post_init__(self) -> None:
        section = self.launcher.engine
        assert isinstance(section, config.RayEngine)
        self.room = self.launcher.workers or sys.maxsize
        _connect(section.address)
        memory = int((section.memory_gib or 0) * 2**30)
        wanted = {"CPU": section.cpus, "GPU": section.gpus, "memory": memory}
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
        rooms = [[int(node.get(name, 0) / wanted[name]) for name in wanted if wanted[name]] for node in nodes]
        self.slots = sum(map(min, rooms))
        if not self.slots:
            ray.shutdown()
            what = f"no node has room for a stack of {section.cpus:g} CPU and {section.gpus:g} GPU"
            remedy = "lower cpus, gpus or memory_gib of hydra.launcher.engine, or add such a node"
            raise refusal(what, "Ray", remedy)
        stack_task = ray.remote(num_cpus=section.cpus, num_gpus=section.gpus, memory=memory, max_retries=0)
        self._task: Any = stack_task(run_job)
        self._tasks: dict[Future[bool], ray.ObjectRef[bool]] = {}

    @override
    def submit(self, stacks: Sequence[PlannedStack]) -> list[Future[bool]]:
        tasks = [self._task.remote(write_job(stack)) for stack in stacks]
        futures: list[Future[bool]] = [task.future() for task in tasks]
        self._tasks |= zip(futures, tasks, strict=True)
        return futures

    @override
    def error(self, job: Future[bool]) -> BaseException | None:
        self._tasks.pop(job, None)
        match error := job.exception():
            case RayTaskError():
                return error.cause
            case RayError():
                return WorkerLost(f"its worker was lost ({type(error).__name__})")
        return error

    @override
    def stop(self, *, at_once: bool = False) -> str:
        for task in self._tasks.values():
            ray.cancel(task, force=at_once)
        return ""

    @override
    def close(self) -> None:
        ray.shutdown()


def _connect(address: str) -> None:
    # Else Ray gives workers of a command of `uv run` a copy of the working directory.
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    on_sigterm = signal.getsignal(signal.SIGTERM)
    place = os.environ.get("RAY_ADDRESS", "") if address == "auto" else address
    host, separator, port = place.removeprefix("ray://").rpartition(":")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Ray's dependencies
        try:
            if separator and port.isdigit():  # if nothing answers there, Ray would try for minutes
                socket.create_connection((host, int(port)), timeout=10).close()
            ray.init(address, namespace="mlplab", log_to_driver=False, configure_logging=False)
        except (OSError, RuntimeError, ValueError) as error:
            what, where = "no Ray cluster can be reached", f"hydra.launcher.engine.address={address}"
            raise refusal(what, where, "start it: ray start --head") from error
    signal.signal(signal.SIGTERM, on_sigterm)  # Ray's exits with another status
