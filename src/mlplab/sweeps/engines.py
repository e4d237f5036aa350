"""Engines that train the stacks of a sweep: in this process, or in several processes."""

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

from mlplab.console import progress_lines
from mlplab.data.cache import DataCache
from mlplab.errors import Interrupted, RunFailed
from mlplab.sweeps.train_stack import Outcome, StackJob, failed_outcome, train_stack

log = logging.getLogger(__name__)


def train_here(stacks: Sequence[StackJob], cache: DataCache) -> dict[Path, Outcome]:
    """Trains one stack after another in this process."""
    outcomes: dict[Path, Outcome] = {}
    console = Console()
    for stack in stacks:
        outcomes |= train_stack(stack, console, cache)
        if len(stacks) > 1 and not console.is_terminal:
            log.info("%s", stack.finished_message)
    return outcomes


def train_in_processes(stacks: Sequence[StackJob], workers: int) -> dict[Path, Outcome]:
    """Trains several stacks at a time.

    Each worker is a separate pool, so a crash does not affect the others.
    """
    outcomes: dict[Path, Outcome] = {}
    runs = sum(len(stack.runs) for stack in stacks)
    waiting = list(stacks)
    idle = [_pool() for _ in range(workers)]
    working: dict[Future[dict[Path, Outcome]], tuple[StackJob, ProcessPoolExecutor]] = {}

    def progress() -> str:
        finished = len(stacks) - len(waiting) - len(working)
        return f"{finished} of {len(stacks)} stacks and {len(outcomes)} of {runs} runs finished"

    with _forwarded_signals() as received, progress_lines(log.info, progress):
        while working or (waiting and not received):
            while idle and waiting and not received:
                pool, stack = idle.pop(), waiting.pop(0)
                working[pool.submit(_train_in_process, stack)] = stack, pool
            for future in wait(working, return_when=FIRST_COMPLETED).done:
                stack, pool = working.pop(future)
                try:
                    outcomes |= future.result()
                except BrokenProcessPool:
                    pool.shutdown()  # waits until the process has ended and released its folders
                    killed = RunFailed("the process that trained it was killed")
                    outcomes |= {run.folder: failed_outcome(run, killed) for run in stack.runs}
                    pool = _pool()
                idle.append(pool)
                log.info("%s", stack.finished_message)
        for pool in idle:
            pool.shutdown()
    if received:
        raise Interrupted(f"stopped by {received[0].name}", received[0])
    return outcomes


def _pool() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, get_context("spawn"), initializer=_start_worker)


def _train_in_process(stack: StackJob) -> dict[Path, Outcome]:
    try:
        return train_stack(stack, Console(file=io.StringIO()), DataCache())
    except RunFailed as error:
        return {run.folder: failed_outcome(run, error) for run in stack.runs}


def _start_worker() -> None:
    """Ignores SIGINT outside training, and ends the worker when its parent dies.

    Ctrl-C reaches all processes of a terminal. The parent forwards it to the workers as SIGTERM.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    assert parent is not None

    def end_with_parent() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    Thread(target=end_with_parent, daemon=True).start()


@contextmanager
def _forwarded_signals() -> Iterator[list[signal.Signals]]:
    """Forwards SIGINT and SIGTERM to the workers, so that their runs stop; yields the received signals."""
    received: list[signal.Signals] = []

    def stop(number: int, frame: FrameType | None) -> None:
        received.append(signal.Signals(number))
        for child in active_children():
            child.terminate()

    previous = {each: signal.signal(each, stop) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for each, handler in previous.items():
            signal.signal(each, handler)
