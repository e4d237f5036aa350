"""Trains stacks as tasks of a Ray cluster."""

import logging
import os
import signal
import socket
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import Future

import ray
from ray.exceptions import RayError, RayTaskError

from mlplab import config
from mlplab.data.cache import DataCache
from mlplab.errors import Fault, UserError, listed
from mlplab.sweeps.engines.engine import Cluster, WorkerLost
from mlplab.sweeps.engines.worker import Assignment, Reply, train_assigned

HERE = "local"
"""The address that starts Ray on this machine."""

GIBIBYTE = 2**30

CONNECT_SECONDS = 10

QUEUE = 10_000
"""The largest number of tasks in Ray's queue."""


class RayCluster(Cluster):
    """A task for each stack.

    Args:
        workers: the largest number of tasks at a time; None: as many as the cluster has room for.

    Raises:
        UserError: if there is no cluster at the address, or it has no room for any stack.
    """

    place = "the Ray cluster"

    def __init__(self, section: config.RayEngine, workers: int | None) -> None:
        self.section, self.workers = section, workers
        address, on_sigterm = section.address, signal.getsignal(signal.SIGTERM)
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
        signal.signal(signal.SIGTERM, on_sigterm)  # Ray's exits with another status
        wanted = {"CPU": section.cpus, "GPU": section.gpus, "memory": (section.memory_gib or 0) * GIBIBYTE}
        try:
            self.slots = _slots({name: amount for name, amount in wanted.items() if amount})
        except UserError:
            ray.shutdown()
            raise
        self._task = ray.remote(
            num_cpus=section.cpus, num_gpus=section.gpus, memory=int(wanted["memory"]), max_retries=0
        )(train_assigned)
        self._tables: tuple[int, ray.ObjectRef[DataCache]] | None = None
        self._tasks: dict[Future[Reply], ray.ObjectRef[Reply]] = {}

    def room(self, working: int) -> int:
        """Ray keeps tasks in a queue until there is room for them."""
        return (self.workers or QUEUE) - working

    def submit(self, assignments: Sequence[Assignment], cache: DataCache) -> list[Future[Reply]]:
        """Starts a task for each stack. The tables are put into Ray's object store, once."""
        if self._tables is None or self._tables[0] != cache.size:
            self._tables = cache.size, ray.put(cache.in_memory())
        return [self._start(each, self._tables[1]) for each in assignments]

    def _start(self, assignment: Assignment, tables: "ray.ObjectRef[DataCache]") -> Future[Reply]:
        task, reply = self._task.remote(assignment, tables), Future[Reply]()  # type: ignore[call-arg]
        self._tasks[reply] = task

        def finish(ended: Future[Reply]) -> None:
            self._tasks.pop(reply, None)
            try:
                reply.set_result(ended.result())
            except RayTaskError as error:
                reply.set_exception(WorkerLost(f"its worker failed: {error.cause!r}"))
            except RayError as error:
                reply.set_exception(WorkerLost(f"its worker was lost ({type(error).__name__})"))
            except BaseException as error:
                reply.set_exception(WorkerLost(f"its worker failed: {error!r}"))

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


def _slots(wanted: Mapping[str, float]) -> int:
    """The number of tasks that the cluster can run at a time.

    Args:
        wanted: what each takes: `CPU`, `GPU`, and `memory` in bytes.

    Raises:
        UserError: if there is no room for any.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    slots = sum(min(int(node.get(name, 0) / each) for name, each in wanted.items()) for node in nodes)
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
