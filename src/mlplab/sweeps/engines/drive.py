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
    _Drive(stacks, engine, workers).run()


class _Drive:
    def __init__(self, stacks: Sequence[PlannedStack], engine: Engine, workers: int) -> None:
        self.engine, self.room, self.total = engine, engine.room or workers, len(stacks)
        self.waiting, self.working = list(stacks), dict[Job, PlannedStack]()
        self.losses, self.repeated = Counter[str](), set[str]()
        self.finished = 0
        self.received: list[signal.Signals] = []

    def run(self) -> None:
        """Until no stack is waiting or training."""
        with handle_signals(self._receive), progress_lines(log.info, self._progress):
            try:
                while (self.working or self.waiting) and not self.received:
                    self._submit()
                    self._look()
            except BaseException:
                if note := self.engine.stop():
                    log.warning("%s", note)
                raise
            if self.received:
                self._stop()

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.received.append(signal.Signals(number))

    def _progress(self) -> str:
        return f"{self.finished} of {self.total} stacks finished"

    def _submit(self) -> None:
        if stacks := self.waiting[: max(0, self.room - len(self.working))]:
            self.waiting = self.waiting[len(stacks) :]
            self.working |= zip(self.engine.submit(list(map(write_job, stacks))), stacks, strict=True)

    def _look(self) -> None:
        """Deals with jobs that have ended, or waits a moment."""
        started = time.monotonic()
        jobs = [job for job in self.working if job.done()]
        for job in jobs:
            self._end(self.working.pop(job), self.engine.error(job))
        if not jobs:
            time.sleep(max(LOOK_SECONDS, 5 * (time.monotonic() - started)))

    def _end(self, stack: PlannedStack, error: BaseException | None) -> None:
        if isinstance(error, UserError | CannotWrite):
            raise error
        if error:
            reason = str(error) if isinstance(error, WorkerLost) else f"its worker failed: {error!r}"
            self._lose(stack, reason)
            return
        statuses = self._statuses(stack)
        if "interrupted" in statuses:  # its worker does not count as lost: the state is saved
            log.warning("%s: its worker was stopped; another continues", stack.title)
            self.waiting.append(stack)
        elif (failed := statuses.count("failed")) and stack.title not in self.repeated:
            self.repeated.add(stack.title)
            log.warning("%s: %d of its runs failed, and are tried once more", stack.title, failed)
            self.waiting.append(stack)
        else:
            self._finish(stack.finished_message)

    def _statuses(self, stack: PlannedStack) -> list[str]:
        """How the runs of a stack have ended, as soon as this machine sees it in a shared folder.

        Raises:
            UserError: if it does not within `LATE_SECONDS`.
        """
        deadline, statuses = time.monotonic() + LATE_SECONDS, list[str]()
        for run in stack.runs:
            while (status := _status(run.folder)) not in (*FINAL, "failed", "interrupted"):
                if time.monotonic() > deadline:
                    remedy = "put the sweep into a folder that all machines share: hydra.sweep.dir=…"
                    what = "a worker's results are not seen here"
                    raise UserError(Fault(what, str(run.folder), remedy=remedy))
                time.sleep(LOOK_SECONDS)
            statuses.append(status)
        return statuses

    def _lose(self, stack: PlannedStack, reason: str) -> None:
        """Lets another worker continue with a stack, unless several were lost with it."""
        self.losses[stack.title] += 1
        if self.losses[stack.title] < MAX_LOST:
            log.warning("%s: %s; another continues", stack.title, reason)
            self.waiting.append(stack)
            return
        for run in stack.runs:
            record_error(run, RunFailed(f"{reason}; so did {MAX_LOST - 1} workers before"))
        self._finish(f"{stack.title}: {reason}")

    def _finish(self, message: str) -> None:
        self.finished += 1
        log.info("%s", message)

    def _stop(self) -> None:
        """Waits until the workers have saved their state, or for a second signal.

        Raises:
            Interrupted: always.
        """
        note = self.engine.stop()
        while not note and len(self.received) == 1 and not all(job.done() for job in self.working):
            time.sleep(LOOK_SECONDS)
        if len(self.received) > 1:
            self.engine.kill()
        stopped = f"stopped by {self.received[0].name}"
        raise Interrupted(f"{stopped}; {note}" if note else stopped, self.received[0])


def _status(folder: Path) -> str:
    """The status of a run as this machine sees it, perhaps late."""
    try:
        return str(read_metrics(folder)["status"])
    except (UserError, OSError):  # only a part of the file is there
        return ""
