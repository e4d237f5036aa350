"""Trains stacks as tasks of a Ray cluster."""

import logging
import os
import socket
import warnings
from collections.abc import Sequence
from concurrent.futures import Future

import ray
from ray.exceptions import RayError

from mlplab import config
from mlplab.data.cache import DataCache
from mlplab.errors import Fault, UserError, listed
from mlplab.sweeps.engines.engine import Engine, WorkerLost
from mlplab.sweeps.engines.worker import Assignment, Reply, train_assigned

HERE = "local"
"""The address that starts Ray on this machine."""

GIBIBYTE = 2**30

CONNECT_SECONDS = 10


class RayCluster(Engine):
    """A task for each stack.

    Args:
        workers: the largest number of tasks at a time; None: as many as the cluster has room for.

    Raises:
        UserError: if there is no cluster at the address.
    """

    def __init__(self, section: config.RayEngine, workers: int | None) -> None:
        self.section, self.workers = section, workers
        address = section.address
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
                    include_dashboard=False if address == HERE else None,
                )
            except (OSError, RuntimeError, ValueError) as error:
                remedy = (
                    "start it: ray start --head; or start Ray on this machine only: "
                    f"hydra.launcher.engine.address={HERE}"
                )
                where = f"hydra.launcher.engine.address={address}"
                raise UserError(Fault("no Ray cluster can be reached", where, remedy=remedy)) from error
        memory = int((section.memory_gib or 0) * GIBIBYTE)
        self._task = ray.remote(num_cpus=section.cpus, num_gpus=section.gpus, memory=memory, max_retries=0)(
            _train
        )
        self._tables: tuple[int, ray.ObjectRef[DataCache]] | None = None
        self._tasks: dict[Future[Reply], ray.ObjectRef[Reply]] = {}
        self.place, self.slots = "the Ray cluster", _slots(section)

    def room(self, working: int) -> int:
        """Ray keeps tasks in a queue until there is room for them."""
        return (self.workers or QUEUE) - working

    def submit(self, assignments: Sequence[Assignment], cache: DataCache) -> list[Future[Reply]]:
        """Starts a task for each stack. The tables are put into Ray's object store, once."""
        if self._tables is None or self._tables[0] != cache.size:
            self._tables = cache.size, ray.put(cache.in_memory())
        return [self._start(each, self._tables[1]) for each in assignments]

    def _start(self, assignment: Assignment, tables: "ray.ObjectRef[DataCache]") -> Future[Reply]:
        task, reply = self._task.remote(assignment, tables), Future[Reply]()
        self._tasks[reply] = task

        def finish(ended: Future[Reply]) -> None:
            self._tasks.pop(reply, None)
            try:
                reply.set_result(ended.result())
            except RayError as error:
                reply.set_exception(WorkerLost(f"its worker was lost ({type(error).__name__})"))
            except Exception as error:
                reply.set_exception(WorkerLost(f"its worker failed: {error}"))

        task.future().add_done_callback(finish)
        return reply

    def stop(self) -> str:
        """Interrupts the tasks."""
        for task in list(self._tasks.values()):
            ray.cancel(task, force=False)
        return ""

    def close(self) -> None:
        """Leaves the cluster."""
        ray.shutdown()


def _check_reachable(address: str) -> None:
    """Checks that something answers at an address, which Ray would try for minutes.

    Raises:
        OSError: otherwise.
    """
    place = os.environ.get("RAY_ADDRESS", "") if address == "auto" else address
    host, separator, port = place.removeprefix("ray://").rpartition(":")
    if separator and port.isdigit():
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()


def _slots(section: config.RayEngine) -> int:
    """The number of tasks that the cluster can run at a time.

    Raises:
        UserError: if there is none.
    """
    wanted = {"CPU": section.cpus, "GPU": section.gpus}
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    slots = sum(min(int(node.get(name, 0) / each) for name, each in wanted.items() if each) for node in nodes)
    if not slots:
        asked = " and ".join(f"{each:g} {name}" for name, each in wanted.items() if each)
        has = listed(f"{node.get('CPU', 0):g} CPU and {node.get('GPU', 0):g} GPU" for node in nodes)
        remedy = "lower hydra.launcher.engine.cpus or gpus, or add such a node"
        raise UserError(Fault(f"no node has {asked} for a stack", "Ray", has, remedy=remedy))
    return slots


QUEUE = 10_000
"""The largest number of tasks in Ray's queue."""


def _train(assignment: Assignment, tables: DataCache) -> Reply:
    return train_assigned(assignment, tables)
