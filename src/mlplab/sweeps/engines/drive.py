"""Hands the stacks of a sweep to an engine until all have ended; again to another worker if one is lost.

What has become of a stack is in the folders of its runs: workers send nothing back.
"""

import logging
import signal
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from mlplab.console import progress_lines
from mlplab.errors import CannotWrite, Fault, Interrupted, RunFailed, UserError
from mlplab.runs.discovery import read_metrics
from mlplab.runs.resume import FINAL
from mlplab.signals import handle_signals
from mlplab.sweeps.engines.engine import Engine, Job, WorkerLost
from mlplab.sweeps.engines.worker import LATE_SECONDS, write_job
from mlplab.sweeps.train_stack import PlannedStack, record_error

MAX_LOST = 3
"""After how many lost workers the runs of a stack have failed."""

LOOK_SECONDS = 0.1
"""The time between two looks at the jobs; longer if a look takes long."""

log = logging.getLogger(__name__)


def drive(stacks: Sequence[PlannedStack], engine: Engine, workers: int) -> None:
    """Trains stacks with an engine.

    If a worker is lost, another continues from the stack's last training state. If an error ends a run, it
    is tried once more by another worker.

    Args:
        workers: how many stacks are planned to train at a time.

    Raises:
        UserError: if the engine or its workers cannot train this sweep.
        Interrupted: after SIGINT or SIGTERM.
        CannotWrite: if the disk is full.
    """
    queue, working = _Queue(stacks), dict[Job, PlannedStack]()
    received: list[signal.Signals] = []

    def receive(number: int, frame: FrameType | None) -> None:
        received.append(signal.Signals(number))

    with handle_signals(receive), progress_lines(log.info, queue.progress):
        try:
            while (working or queue.waiting) and not received:
                if submitted := queue.take(max(0, (engine.room or workers) - len(working))):
                    jobs = engine.submit([write_job(stack) for stack in submitted])
                    working |= zip(jobs, submitted, strict=True)
                started = time.monotonic()
                done = [job for job in working if job.done()]
                for job in done:
                    queue.put_back_or_finish(working.pop(job), engine.error(job))
                if not done:
                    time.sleep(max(LOOK_SECONDS, 5 * (time.monotonic() - started)))
        except BaseException:
            if note := engine.stop():
                log.warning("%s", note)
            raise
        if received:
            note = engine.stop()
            while not note and len(received) == 1 and not all(job.done() for job in working):
                time.sleep(LOOK_SECONDS)  # until the workers have saved their state
            if len(received) > 1:
                engine.kill()
            stopped = f"stopped by {received[0].name}"
            raise Interrupted(f"{stopped}; {note}" if note else stopped, received[0])


class _Queue:
    """The stacks that no worker has finished.

    Attributes:
        waiting: the stacks that no worker trains.
    """

    def __init__(self, stacks: Sequence[PlannedStack]) -> None:
        self.waiting, self.total, self.finished = list(stacks), len(stacks), 0
        self.losses, self.repeated = Counter[str](), set[str]()

    def progress(self) -> str:
        """A line for the log."""
        return f"{self.finished} of {self.total} stacks finished"

    def take(self, count: int) -> list[PlannedStack]:
        """The next stacks to train, which no longer wait."""
        taken, self.waiting = self.waiting[:count], self.waiting[count:]
        return taken

    def put_back_or_finish(self, stack: PlannedStack, error: BaseException | None) -> None:
        """Deals with a stack whose job has ended.

        Raises:
            UserError: the job's, or if its results are not seen here.
            CannotWrite: the job's.
        """
        if isinstance(error, UserError | CannotWrite):
            raise error
        if error:
            self.losses[stack.title] += 1
            reason = str(error) if isinstance(error, WorkerLost) else f"its worker failed: {error!r}"
            if self.losses[stack.title] < MAX_LOST:
                self._put_back(stack, f"{reason}; another continues")
                return
            for run in stack.runs:
                record_error(run, RunFailed(f"{reason}; so did {MAX_LOST - 1} workers before"))
            self._finish(f"{stack.title}: {reason}")
            return
        statuses = _statuses(stack)
        if "interrupted" in statuses:  # its worker does not count as lost: the state is saved
            self._put_back(stack, "its worker was stopped; another continues")
        elif (failed := statuses.count("failed")) and stack.title not in self.repeated:
            self.repeated.add(stack.title)
            self._put_back(stack, f"{failed} of its runs failed, and are tried once more")
        else:
            self._finish(stack.finished_message)

    def _put_back(self, stack: PlannedStack, reason: str) -> None:
        log.warning("%s: %s", stack.title, reason)
        self.waiting.append(stack)

    def _finish(self, message: str) -> None:
        self.finished += 1
        log.info("%s", message)


def _statuses(stack: PlannedStack) -> list[str]:
    """How the runs of a stack have ended, as soon as this machine sees it in a shared folder.

    Raises:
        UserError: if it does not within `LATE_SECONDS`.
    """
    deadline, statuses = time.monotonic() + LATE_SECONDS, list[str]()
    for run in stack.runs:
        while (status := _status(run.folder)) not in (*FINAL, "failed", "interrupted"):
            if time.monotonic() > deadline:
                remedy = "put the sweep into a folder that all machines share: hydra.sweep.dir=…"
                raise UserError(Fault("a worker's results are not seen here", str(run.folder), remedy=remedy))
            time.sleep(LOOK_SECONDS)
        statuses.append(status)
    return statuses


def _status(folder: Path) -> str:
    try:
        return str(read_metrics(folder)["status"])
    except (UserError, OSError):  # only a part of the file is there
        return ""
