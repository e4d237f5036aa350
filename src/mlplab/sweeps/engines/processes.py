"""Trains stacks in several processes on this machine.

They are kept from one stack to the next, because starting one takes seconds.
"""

import os
import signal
import time
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, get_context, parent_process
from threading import Thread

from mlplab.data.cache import DataCache
from mlplab.sweeps.engines.engine import Engine, WorkerLost
from mlplab.sweeps.engines.worker import Assignment, Reply, train_assigned

DEVICES = "CUDA_VISIBLE_DEVICES"


class Processes(Engine):
    """Processes, each in a pool of its own, so that a crash does not affect the others.

    Args:
        workers: number of processes.
        gpus: number of GPUs, of which each process uses one.

    Attributes:
        workers: number of processes.
    """

    def __init__(self, workers: int, gpus: int) -> None:
        visible = os.environ.get(DEVICES) or ",".join(map(str, range(gpus)))
        devices: list[str | None] = [*visible.split(",")[:gpus]] or [None]
        self.workers = workers
        self._workers = [_Worker(devices[number % len(devices)]) for number in range(workers)]

    def room(self, working: int) -> int:
        """One stack for each idle process."""
        return len(self._workers) - working

    def submit(self, assignments: Sequence[Assignment], cache: DataCache) -> list[Future[Reply]]:
        """Hands stacks to idle processes, which read the tables themselves."""
        idle = [worker for worker in self._workers if worker.idle]
        return [worker.train(each) for worker, each in zip(idle, assignments, strict=False)]

    def stop(self) -> str:
        """Sends SIGTERM to the processes."""
        for child in active_children():
            child.terminate()
        return ""

    def kill(self) -> None:
        """Sends SIGKILL to the processes."""
        for child in active_children():
            child.kill()

    def close(self) -> None:
        """Ends the processes."""
        for worker in self._workers:
            worker.close()


class _Worker:
    """A process, and the next one if it is killed.

    Attributes:
        idle: whether it trains no stack.
    """

    def __init__(self, device: str | None) -> None:
        self.device, self.idle = device, True
        self._pool = self._new_pool()

    def _new_pool(self) -> ProcessPoolExecutor:
        context = get_context("spawn")
        return ProcessPoolExecutor(1, context, initializer=_start_worker, initargs=(self.device,))

    def train(self, assignment: Assignment) -> Future[Reply]:
        """Trains a stack in the process, or in a new one if it has been killed."""
        try:
            training = self._pool.submit(train_assigned, assignment)
        except BrokenProcessPool:
            self._pool = self._new_pool()
            training = self._pool.submit(train_assigned, assignment)
        self.idle, reply = False, Future[Reply]()

        def finish(ended: Future[Reply]) -> None:
            self.idle = True
            try:
                reply.set_result(ended.result())
            except BrokenProcessPool:
                reply.set_exception(WorkerLost("the process that trained it was killed"))
            except BaseException as error:
                reply.set_exception(WorkerLost(f"its worker failed: {error!r}"))

        training.add_done_callback(finish)
        return reply

    def close(self) -> None:
        """Ends the process."""
        self._pool.shutdown()


def _start_worker(device: str | None) -> None:
    """Chooses the GPU, ignores SIGINT outside training, and ends the worker when its parent dies.

    Ctrl-C reaches all processes of a terminal. The parent sends SIGTERM to its workers then.
    """
    if device is not None:
        os.environ[DEVICES] = device
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    assert parent is not None

    def end_with_parent() -> None:
        parent.join()
        while True:  # training only stops at the first
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(1)

    Thread(target=end_with_parent, daemon=True).start()
