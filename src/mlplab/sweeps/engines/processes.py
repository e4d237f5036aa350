"""Trains stacks in several processes on this machine.

They are kept from one stack to the next, because starting one takes seconds. They are forked from a process
of their own, which imports torch for all of them and does nothing else (`preload.py`).
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import cache, cached_property
from multiprocessing import active_children, get_context, parent_process
from multiprocessing.context import BaseContext
from threading import Thread
from typing import Any, TypeVar

from typing_extensions import override

from mlplab.imports import heavy_imports
from mlplab.sweeps.engines.engine import Engine, PlannedStack, WorkerLost
from mlplab.sweeps.engines.worker import call_with_tables, run_job, write_job

VISIBLE_DEVICES = "CUDA_VISIBLE_DEVICES"

# The time between two looks at what another process does; signals are handled in between.
LOOK_SECONDS = 0.01

T = TypeVar("T")


class Processes(Engine):
    """Processes, each in a pool of its own, so that a crash does not affect the others.

    If there are GPUs, each process sees one of them.
    """

    is_remote = False

    def __post_init__(self) -> None:
        self._workers: list[_Worker] = []
        self._is_parallel = (self.launcher.workers or 1) > 1

    @cached_property
    def slots(self) -> int:  # type: ignore[override]
        """The number of GPUs or, without them, of cores."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        return cores or 1 if self._devices == [None] else len(self._devices)

    @cached_property
    def _devices(self) -> list[str | None]:
        """The GPU that each process sees, in turn; None: it sees what is visible here."""
        gpus = 0
        if self.accelerator != "cpu" and not self._is_parallel:
            gpus = _count_gpus()
        elif self.accelerator != "cpu":
            self._workers.append(_Worker(None))  # it sees them all, and uses the first
            gpus = self._workers[0].submit(_count_gpus).result()
        visible = os.environ.get(VISIBLE_DEVICES) or ",".join(map(str, range(gpus)))
        return [*visible.split(",")[:gpus]] or [None]

    @override
    def submit(self, stacks: Sequence[PlannedStack]) -> list[Future[bool]]:
        jobs = zip(self._idle(len(stacks)), map(write_job, stacks), strict=True)
        return [worker.submit(run_job, job) for worker, job in jobs]

    def _idle(self, count: int) -> list["_Worker"]:
        devices = self._devices
        while len(idle := [worker for worker in self._workers if worker.job.done()]) < count:
            self._workers.append(_Worker(devices[len(self._workers) % len(devices)]))
        return idle[:count]

    def call(self, function: Callable[..., T], *arguments: object) -> T:
        """Calls it in a process if there are to be several: so torch is not imported here, too.

        It is called here if only this process has the rows, or the other is killed.
        """
        if self._is_parallel and self.cache.frame is None:
            [worker] = self._idle(1)
            job = worker.submit(call_with_tables, function, *arguments)
            try:
                while not job.done():
                    time.sleep(LOOK_SECONDS)
                return job.result()
            except BrokenProcessPool:
                pass
            except KeyboardInterrupt:
                self.stop()
                raise
        return super().call(function, *arguments)

    @override
    def error(self, job: Future[bool]) -> BaseException | None:
        lost = isinstance(error := job.exception(), BrokenProcessPool)
        return WorkerLost("the process that trained it was killed") if lost else error

    @override
    def stop(self, *, at_once: bool = False) -> str:
        for child in active_children():
            child.kill() if at_once else child.terminate()
        return ""

    @override
    def close(self) -> None:
        for worker in self._workers:
            worker.pool.shutdown()


class _Worker:
    """A process, and the next one if it is killed; `job` is the stack that it trains or has trained."""

    def __init__(self, device: str | None) -> None:
        self.device, self.job = device, Future[Any]()
        self.job.set_result(None)
        self._start()

    def _start(self) -> None:
        environment = dict(os.environ) | ({} if self.device is None else {VISIBLE_DEVICES: self.device})
        self.pool = ProcessPoolExecutor(1, _context(), initializer=_start_worker, initargs=(environment,))

    def submit(self, function: Callable[..., T], *arguments: object) -> Future[T]:
        """Calls a function in the process, or in a new one if it has been killed."""
        try:
            self.job = self.pool.submit(function, *arguments)
        except BrokenProcessPool:
            self._start()
            self.job = self.pool.submit(function, *arguments)
        return self.job


def _count_gpus() -> int:
    with heavy_imports():
        import torch

    return torch.cuda.device_count()


@cache
def _context() -> BaseContext:
    if sys.platform != "linux":  # macOS's libraries do not survive a fork; Windows has none
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload(["mlplab.sweeps.engines.preload"])
    # Starting the first takes seconds, in which this thread can be interrupted: polars has reads go on.
    starting = Thread(target=context.Process(target=int).start, daemon=True)
    starting.start()
    while starting.is_alive():
        starting.join(LOOK_SECONDS)
    return context


def _start_worker(environment: Mapping[str, str]) -> None:
    """Sets the environment, ignores SIGINT outside training, and ends the worker when its parent dies.

    A forked process has the environment of the first. Ctrl-C reaches all processes of a terminal. The parent
    sends SIGTERM to its workers then.
    """
    os.environ.clear()
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    assert parent is not None

    def end_with_parent() -> None:
        parent.join()
        while True:  # training only stops at the first
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(1)

    Thread(target=end_with_parent, daemon=True).start()
