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

import torch

from mlplab import config
from mlplab.sweeps.engines.engine import Engine, WorkerLost
from mlplab.sweeps.engines.worker import run_job, write_job
from mlplab.sweeps.train_stack import PlannedStack

VISIBLE_DEVICES = "CUDA_VISIBLE_DEVICES"


class Processes(Engine):
    """Processes, each in a pool of its own, so that a crash does not affect the others.

    If there are GPUs, each process sees one of them.
    """

    is_remote = False

    def __init__(self, launcher: config.Launcher, accelerator: str) -> None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        gpus = 0 if accelerator == "cpu" else torch.cuda.device_count()
        self.launcher, self.slots = launcher, gpus or cores or 1
        visible = os.environ.get(VISIBLE_DEVICES) or ",".join(map(str, range(gpus)))
        self._devices: list[str | None] = [*visible.split(",")[:gpus]] or [None]
        self._workers: list[_Worker] = []

    def submit(self, stacks: Sequence[PlannedStack]) -> list[Future[bool]]:
        """Hands stacks to idle processes, and to new ones if there are too few."""
        idle = [worker for worker in self._workers if worker.job.done()]
        while len(idle) < len(stacks):
            idle.append(_Worker(self._devices[len(self._workers) % len(self._devices)]))
            self._workers.append(idle[-1])
        return [worker.train(stack) for worker, stack in zip(idle, stacks, strict=False)]

    def error(self, job: Future[bool]) -> BaseException | None:
        """What the process has raised."""
        error = job.exception()
        is_lost = isinstance(error, BrokenProcessPool)
        return WorkerLost("the process that trained it was killed") if is_lost else error

    def stop(self, *, at_once: bool = False) -> str:
        """Sends SIGTERM to the processes, or SIGKILL."""
        for child in active_children():
            child.kill() if at_once else child.terminate()
        return ""

    def close(self) -> None:
        """Ends the processes."""
        for worker in self._workers:
            worker.pool.shutdown()


class _Worker:
    """A process, and the next one if it is killed; `job` is the stack that it trains or has trained."""

    def __init__(self, device: str | None) -> None:
        self.device, self.job = device, Future[bool]()
        self.job.set_result(True)
        self._start()

    def _start(self) -> None:
        spawn = get_context("spawn")
        self.pool = ProcessPoolExecutor(1, spawn, initializer=_start_worker, initargs=(self.device,))

    def train(self, stack: PlannedStack) -> Future[bool]:
        """Trains a stack in the process, or in a new one if it has been killed."""
        path = write_job(stack)
        try:
            self.job = self.pool.submit(run_job, path)
        except BrokenProcessPool:
            self._start()
            self.job = self.pool.submit(run_job, path)
        return self.job


def _start_worker(device: str | None) -> None:
    """Chooses the GPU, ignores SIGINT outside training, and ends the worker when its parent dies.

    Ctrl-C reaches all processes of a terminal. The parent sends SIGTERM to its workers then.
    """
    if device is not None:
        os.environ[VISIBLE_DEVICES] = device
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    assert parent is not None

    def end_with_parent() -> None:
        parent.join()
        while True:  # training only stops at the first
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(1)

    Thread(target=end_with_parent, daemon=True).start()
