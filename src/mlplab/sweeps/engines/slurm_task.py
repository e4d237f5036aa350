"""What a Slurm job does, and the file in which it leaves an error that other workers would meet, too."""

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path
from threading import Event
from types import FrameType
from typing import Any

import submitit

from mlplab.errors import CannotWrite, Fault, FolderInUse, UserError
from mlplab.files import write_json
from mlplab.sweeps.engines.worker import run_job


class Task(submitit.helpers.Checkpointable):
    """Trains a stack. The job is requeued at its time limit, or if it is preempted."""

    def __call__(self, path: Path) -> None:
        """Trains the stack. At the time limit, saves its state and requeues the job."""
        number = getattr(signal, f"SIG{submitit.JobEnvironment.USR_SIG}")
        requeue: Callable[[int, FrameType | None], Any] = signal.getsignal(number)  # type: ignore[assignment]
        is_at_limit = Event()

        def save(number: int, frame: FrameType | None) -> None:
            is_at_limit.set()
            if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:  # there is nothing to save yet
                requeue(number, frame)
            os.kill(os.getpid(), signal.SIGTERM)

        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # submitit ignores it; training handles it
        signal.signal(number, save)
        try:
            ended = run_job(path)
        except Exception as error:
            traceback.print_exc()
            if isinstance(error, UserError | CannotWrite):
                write_error(submitit.JobEnvironment().paths, error)
            sys.exit(1)  # without a result
        if not ended and is_at_limit.is_set():
            requeue(number, None)
        if not ended:  # it was preempted or cancelled
            sys.exit(128 + signal.SIGTERM)


def write_error(paths: submitit.core.utils.JobPaths, error: UserError | CannotWrite) -> None:
    """Writes an error as JSON beside the files of a job."""
    parts = [*map(astuple, error.faults)] if isinstance(error, UserError) else [str(error)]
    write_json(_error_file(paths), [type(error).__name__, parts])


def read_error(paths: submitit.core.utils.JobPaths) -> UserError | CannotWrite | None:
    """The error that a job has written; None if it has not."""
    if not _error_file(paths).exists():
        return None
    name, parts = json.loads(_error_file(paths).read_text(encoding="utf-8"))
    if name == CannotWrite.__name__:
        return CannotWrite(*parts)
    return (FolderInUse if name == FolderInUse.__name__ else UserError)(*(Fault(*fields) for fields in parts))


def _error_file(paths: submitit.core.utils.JobPaths) -> Path:
    return paths.result_pickle.with_suffix(".json")
