"""Hands the stacks of a sweep to an engine until all have ended; again to another worker if one is lost."""

import logging
import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from queue import Empty, SimpleQueue
from types import FrameType

from mlplab.console import progress_lines
from mlplab.data.cache import DataCache
from mlplab.errors import CannotWrite, Fault, Interrupted, RunFailed, UserError, is_disk_error
from mlplab.runs.discovery import read_metrics
from mlplab.sweeps.engines.engine import Engine, WorkerLost
from mlplab.sweeps.engines.worker import LATE, Assignment, Reply
from mlplab.sweeps.train_stack import Outcome, RunRaised, StackJob, failed_outcome

ATTEMPTS = 3
"""After how many lost workers the runs of a stack have failed."""

LOOK_SECONDS = 0.5
"""How often signals are looked for."""

log = logging.getLogger(__name__)


def drive(stacks: Sequence[StackJob], engine: Engine, seen: Path, cache: DataCache) -> dict[Path, Outcome]:
    """Trains stacks with an engine; returns the outcome of each run by its folder.

    If a worker is lost, another continues from the stack's last training state. If an error ends a run, it
    is tried once more by another worker.

    Args:
        seen: a file in the sweep's folder that workers must see.
        cache: the tables of the sweep.

    Raises:
        UserError: if the engine or its workers cannot train this sweep.
        Interrupted: after SIGINT or SIGTERM.
        CannotWrite: if the disk is full.
    """
    return _Drive(stacks, engine, seen, cache).run()


class _Drive:
    def __init__(self, stacks: Sequence[StackJob], engine: Engine, seen: Path, cache: DataCache) -> None:
        self.engine, self.seen, self.cache = engine, seen, cache
        self.count, self.runs = len(stacks), sum(len(stack.runs) for stack in stacks)
        self.waiting, self.losses, self.raised = list(stacks), Counter[Path](), set[Path]()
        self.working: dict[Future[Reply], StackJob] = {}
        self.ended = SimpleQueue[Future[Reply]]()
        self.outcomes: dict[Path, Outcome] = {}
        self.finished = 0

    def run(self) -> dict[Path, Outcome]:
        """Until no stack is waiting or training."""
        with _received_signals() as received, progress_lines(log.info, self._progress):
            try:
                while (self.working or self.waiting) and not received:
                    self._submit()
                    for future in self._ended():
                        self._end(self.working.pop(future), future)
            except UserError:
                if note := self.engine.stop():
                    log.warning("%s", note)
                raise
            except BaseException:
                self.engine.stop()
                raise
            if received:
                self._stop(received)
        _wait_until_seen(self.outcomes)
        return self.outcomes

    def _stop(self, received: Sequence[signal.Signals]) -> None:
        """Waits until the workers have saved their state, or for a second signal."""
        note = self.engine.stop()
        while len(received) == 1 and wait(self.working, LOOK_SECONDS).not_done:
            pass
        if len(received) > 1:
            self.engine.kill()
        stopped = f"stopped by {received[0].name}"
        raise Interrupted(f"{stopped}; {note}" if note else stopped, received[0])

    def _progress(self) -> str:
        return f"{self.finished} of {self.count} stacks and {len(self.outcomes)} of {self.runs} runs finished"

    def _submit(self) -> None:
        room = self.engine.room(len(self.working))
        if stacks := self.waiting[:room]:
            self.waiting = self.waiting[room:]
            assignments = [Assignment.of(stack, self.seen) for stack in stacks]
            futures = self.engine.submit(assignments, self.cache)
            self.working |= zip(futures, stacks, strict=True)
            for future in futures:
                future.add_done_callback(self.ended.put)

    def _ended(self) -> Iterator[Future[Reply]]:
        """All that have ended since the last look; waits a moment for one."""
        with suppress(Empty):
            yield self.ended.get(timeout=LOOK_SECONDS)
            while True:
                yield self.ended.get_nowait()

    def _end(self, stack: StackJob, future: Future[Reply]) -> None:
        try:
            reply = future.result()
        except WorkerLost as error:
            self._again(stack, str(error))
            return
        if reply.refused:
            raise UserError(*reply.refused)
        if reply.disk:
            raise CannotWrite(reply.disk) from reply.disk
        if reply.stopped:  # it does not count as lost: its state is saved
            log.warning("%s: its worker was %s; another continues", stack.title, reply.stopped)
            self.waiting.append(stack)
            return
        outcomes = {run.folder: reply.outcomes.get(run.folder) for run in stack.runs}
        if missing := [folder for folder, outcome in outcomes.items() if outcome is None]:
            self._again(stack, f"its worker did not train {missing[0].name}")
            return
        self.outcomes |= {folder: outcome for folder, outcome in outcomes.items() if outcome is not None}
        raised = [run for run in stack.runs if isinstance(outcomes[run.folder], RunRaised)]
        if raised and stack.file not in self.raised:
            self.raised.add(stack.file)
            log.warning("%s: %d of its runs failed, and are tried once more", stack.title, len(raised))
            self.waiting.append(replace(stack, runs=raised))
            return
        self.finished += 1
        log.info("%s", stack.finished_message)

    def _again(self, stack: StackJob, reason: str) -> None:
        """Lets another worker continue with a stack, unless several were lost with it."""
        self.losses[stack.file] += 1
        if self.losses[stack.file] < ATTEMPTS:
            log.warning("%s: %s; another continues", stack.title, reason)
            self.waiting.append(stack)
            return
        self.finished += 1
        log.warning("%s: %s", stack.title, reason)
        lost = RunFailed(f"{reason}; so did {ATTEMPTS - 1} workers before")
        try:
            self.outcomes |= {run.folder: failed_outcome(run, lost) for run in stack.runs}
        except OSError as error:
            if is_disk_error(error):
                raise CannotWrite(error) from error
            raise


def _wait_until_seen(outcomes: Mapping[Path, Outcome]) -> None:
    """Waits until this machine sees what workers have written to a shared folder.

    Raises:
        UserError: if it does not within `LATE` seconds.
    """
    deadline = time.monotonic() + LATE
    for folder, outcome in outcomes.items():
        status = "" if isinstance(outcome, RunFailed) else outcome["status"]
        while status and _status(folder) != status:
            if time.monotonic() > deadline:
                remedy = "put the sweep into a folder that all machines share: hydra.sweep.dir=…"
                raise UserError(Fault("a worker's results are not seen here", str(folder), remedy=remedy))
            time.sleep(LOOK_SECONDS)


def _status(folder: Path) -> str:
    """The status of a run as this machine sees it, perhaps late."""
    try:
        return str(read_metrics(folder)["status"])
    except (UserError, OSError):  # only a part of the file is there
        return ""


@contextmanager
def _received_signals() -> Iterator[list[signal.Signals]]:
    """Collects SIGINT and SIGTERM."""
    received: list[signal.Signals] = []

    def receive(number: int, frame: FrameType | None) -> None:
        received.append(signal.Signals(number))

    previous = {each: signal.signal(each, receive) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for each, handler in previous.items():
            signal.signal(each, handler)
