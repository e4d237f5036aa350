"""Hands the stacks of a sweep to an engine until all have ended; again to another worker if one is lost.

What has become of a stack is in the folders of its runs: workers send nothing back but errors.
"""

import logging
import signal
import time
from collections import Counter
from collections.abc import Hashable, Sequence
from contextlib import suppress

from mlplab.console import progress_lines
from mlplab.errors import CannotWrite, FolderInUse, Interrupted, RunFailed, UserError, reason_of, refusal
from mlplab.runs.planned_run import FINAL, PlannedRun, has_ended
from mlplab.runs.read_folder import read_metrics
from mlplab.signals import handle_signals
from mlplab.sweeps.engines.engine import SHARED_FILE_SECONDS, Engine, PlannedStack, WorkerLost, record_error

# How often a stack is tried: whose worker is lost, whose worker is stopped and saves its state, with runs
# that fail.
MAX_TRIES = {"lost": 3, "stopped": 10, "failed": 2}

LOOK_SECONDS = 0.1  # the time between two looks at the jobs; longer if a look takes long

log = logging.getLogger(__name__)


def drive(stacks: Sequence[PlannedStack], engine: Engine, workers: int) -> None:
    """Trains stacks with an engine.

    If a worker is lost, another continues from the stack's last training state. If an error ends a run, it
    is tried once more by another worker.

    Raises:
        UserError: if the engine or its workers cannot train this sweep.
        Interrupted: after SIGINT or SIGTERM.
        CannotWrite: if the disk is full.
    """
    waiting, working, total = list(stacks), dict[Hashable, PlannedStack](), len(stacks)
    tries = Counter[tuple[str, str]]()  # by the stack's title and how they ended
    received: list[signal.Signals] = []

    with (
        handle_signals(lambda number, _: received.append(signal.Signals(number))),
        progress_lines(log.info, lambda: f"{total - len(waiting) - len(working)} of {total} stacks finished"),
    ):
        try:
            while (working or waiting) and not received:
                room = max(0, (engine.room or workers) - len(working))
                if submitted := waiting[:room]:
                    working |= zip(engine.submit(submitted), submitted, strict=True)
                    del waiting[:room]
                started = time.monotonic()
                ended = engine.ended(working)
                for job in ended:
                    stack = working.pop(job)
                    how, reason = _ending(stack, engine, job)
                    tries[stack.title, how] += 1
                    if how and tries[stack.title, how] < MAX_TRIES[how]:
                        log.warning("%s: %s; another worker continues", stack.title, reason)
                        waiting.append(stack)
                        continue
                    if how == "lost":
                        failure = RunFailed(f"{reason}; so did {MAX_TRIES[how] - 1} workers before")
                        for run in stack.runs:
                            record_error(run, failure)
                    log.info("%s", f"{stack.title}: {reason}" if reason else stack.finished_message)
                if not ended:
                    time.sleep(max(LOOK_SECONDS, 5 * (time.monotonic() - started)))
        except BaseException:
            if note := engine.stop():
                log.warning("%s", note)
            raise
        if received:
            note = engine.stop()
            while not note and len(received) == 1 and len(engine.ended(working)) < len(working):
                time.sleep(LOOK_SECONDS)  # until the workers have saved their state
            if len(received) > 1:
                engine.stop(at_once=True)
            lost = "what was not saved yet is lost" if len(received) > 1 else "everything is saved"
            raise Interrupted(f"stopped by {received[0].name}; {note or lost}", received[0])


def _ending(stack: PlannedStack, engine: Engine, job: Hashable) -> tuple[str, str]:
    """How a job has ended, as in `MAX_TRIES` or empty, and why it was not as planned.

    Raises:
        UserError: the job's, or if its results are not seen here.
        CannotWrite: the job's.
    """
    error = engine.error(job)
    if isinstance(error, FolderInUse):  # the other stacks do not need it
        return "", reason_of(error)
    if isinstance(error, UserError | CannotWrite):
        raise error
    if error:
        return "lost", str(error) if isinstance(error, WorkerLost) else f"its worker failed: {error!r}"
    deadline = time.monotonic() + (SHARED_FILE_SECONDS if engine.is_remote else 0)
    statuses = [_status(run, deadline) for run in stack.runs]
    if "interrupted" in statuses:
        return "stopped", "its worker was stopped"
    failed = statuses.count("failed")
    return ("failed", f"{failed} of its runs failed") if failed else ("", "")


def _status(run: PlannedRun, deadline: float) -> str:
    """The status of a run that a worker has trained, as soon as this machine sees it in a shared folder.

    It is `failed` if the run had ended before, and could not be trained for more epochs.
    Raises `UserError` if it is not seen until the deadline.
    """
    while True:
        status = ""
        with suppress(UserError, OSError):  # only a part of a file is there
            status = str(read_metrics(run.folder)["status"])
            if status in ("failed", "interrupted") or has_ended(run.folder, run.config):
                return status
        if time.monotonic() > deadline:
            break
        time.sleep(LOOK_SECONDS)
    if status in FINAL:
        return "failed"
    remedy = "put the sweep into a folder that all machines share: hydra.sweep.dir=…"
    raise refusal("a worker's results are not seen here", run.folder, remedy)
