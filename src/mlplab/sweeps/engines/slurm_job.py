"""What a Slurm job does: it trains a stack, replies, and is requeued at its time limit."""

import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from types import FrameType
from typing import Any

import submitit

from mlplab.files import replacing
from mlplab.sweeps.engines.worker import Assignment, train_assigned


@dataclass
class Work:
    """The function of a job.

    Attributes:
        reply: the file for its reply.
        requeues: whether Slurm requeues the job if it is stopped, and no reply is needed then.
    """

    assignment: Assignment
    reply: Path
    requeues: bool

    def __call__(self) -> None:
        """Trains the stack and writes the reply. At the time limit, saves its state and requeues the job."""
        number = getattr(signal, f"SIG{submitit.JobEnvironment.USR_SIG}")
        requeue: Callable[[int, FrameType | None], Any] = signal.getsignal(number)  # type: ignore[assignment]
        asked = Event()

        def save(number: int, frame: FrameType | None) -> None:
            asked.set()
            if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:  # there is nothing to save yet
                requeue(number, frame)
            os.kill(os.getpid(), signal.SIGTERM)

        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # submitit ignores it; training handles it
        signal.signal(number, save)
        reply = train_assigned(self.assignment)
        if reply.stopped and asked.is_set():
            requeue(number, None)
        if reply.stopped and self.requeues:  # or it was cancelled
            sys.exit(128 + signal.SIGTERM)
        with replacing(self.reply) as partial:
            partial.write_text(json.dumps(reply.plain()), encoding="utf-8")

    def checkpoint(self) -> submitit.helpers.DelayedSubmission:
        """What a requeued job does: the same, from the saved state."""
        return submitit.helpers.DelayedSubmission(self)
