"""Stacks of a sweep in processes of their own."""

import io
import logging
import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import active_children, get_context, parent_process
from pathlib import Path
from threading import Thread
from types import FrameType

from rich.console import Console

from mlplab.data.cache import DataCache
from mlplab.errors import Interrupted, RunFailed
from mlplab.sweeps.stack import Outcome, Stack, failed_for, train_stack

log = logging.getLogger(__name__)


def in_processes(stacks: Sequence[Stack], workers: int) -> dict[Path, Outcome]:
    """Trains as many stacks at a time as there are workers, each in a pool of its own: one that dies takes no
    other's work with it."""
    outcomes: dict[Path, Outcome] = {}
    waiting = list(stacks)
    idle = [_pool() for _ in range(workers)]
    working: dict[Future[dict[Path, Outcome]], tuple[Stack, ProcessPoolExecutor]] = {}
    with _passed_on() as received:
        while working or (waiting and not received):
            while idle and waiting and not received:
                pool, stack = idle.pop(), waiting.pop(0)
                working[pool.submit(_train_in_process, stack)] = stack, pool
            for future in wait(working, return_when=FIRST_COMPLETED).done:
                stack, pool = working.pop(future)
                try:
                    outcomes |= future.result()
                except BrokenProcessPool:
                    pool.shutdown()  # waits for its end, with which it lets its folders go
                    killed = RunFailed("the process that trained it was killed")
                    outcomes |= {run.folder: failed_for(run, killed) for run in stack.runs}
                    pool = _pool()
                idle.append(pool)
                log.info("%s", stack.told_at_its_end)
        for pool in idle:
            pool.shutdown()
    if received:
        raise Interrupted(f"stopped by {received[0].name}", received[0])
    return outcomes


def _pool() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, get_context("spawn"), initializer=_become_worker)


def _train_in_process(stack: Stack) -> dict[Path, Outcome]:
    try:
        return train_stack(stack, Console(file=io.StringIO()), DataCache())
    except RunFailed as error:
        return {run.folder: failed_for(run, error) for run in stack.runs}


def _become_worker() -> None:
    """Ctrl-C reaches all processes of a terminal; a worker heeds it in training, and else leaves it to us.

    When we are killed, it ends as after SIGTERM.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    Thread(target=follow, daemon=True).start()


@contextmanager
def _passed_on() -> Iterator[list[signal.Signals]]:
    """Passes SIGINT and SIGTERM on to the workers, whose runs then end; gives those received."""
    received: list[signal.Signals] = []

    def stop(number: int, frame: FrameType | None) -> None:
        received.append(signal.Signals(number))
        for child in active_children():
            child.terminate()

    before = {each: signal.signal(each, stop) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
