"""Trains a stack of a sweep. If one run fails, the others still finish."""

import logging
import time
from dataclasses import replace
from itertools import chain

from rich.console import Console

from mlplab.data.cache import DataCache
from mlplab.errors import CannotWrite, FolderInUse, Interrupted, UserError, reason_of
from mlplab.runs import checkpoint
from mlplab.runs.observers.training_states import can_resume
from mlplab.runs.planned_run import has_ended, was_started
from mlplab.runs.train import train_runs
from mlplab.sweeps.engines.engine import PlannedStack, record_error

MAX_WAIT_SECONDS = 120.0  # how long a stack waits for a folder that another process uses

log = logging.getLogger(__name__)


def train_stack(stack: PlannedStack, console: Console, cache: DataCache) -> list[Exception]:
    """Trains the runs of a stack that have not ended together. If one fails, trains the others individually.

    What becomes of each run is in its folder. Another process may use one of the folders: the worker of a
    command that was killed, for example. If it does so for `MAX_WAIT_SECONDS`, the stack stays as it is.

    Returns:
        The errors that could not be recorded in the folder of their run.

    Raises:
        Interrupted: after SIGINT or SIGTERM, with the training state saved.
        CannotWrite: if the disk is full.
    """
    deadline = None
    while True:
        try:
            unrecorded = _train(replace(stack, runs=stack.beginning_now()), console, cache)
            checkpoint.remove(stack.file)
            return unrecorded
        except FolderInUse as error:
            if deadline is None:
                deadline = time.monotonic() + MAX_WAIT_SECONDS
                log.info("%s: waiting until it is free …", reason_of(error))
            elif time.monotonic() > deadline:
                log.warning("%s: %s; its stack was not trained", stack.title, reason_of(error))
                return [error]
            time.sleep(1)


def _train(stack: PlannedStack, console: Console, cache: DataCache) -> list[Exception]:
    """Trains those runs of a stack that have not ended; if one fails, one after another."""
    left = (run for run in stack.runs if not has_ended(run.folder, run.config))
    runs = [replace(run, resume=was_started(run.folder)) for run in left]
    if not runs:
        return []
    try:
        train_runs(runs, cache, console, title=f"{stack.title}  ", stack_file=stack.file)
        return []
    except (Interrupted, CannotWrite, FolderInUse):
        raise
    except Exception as error:
        if len(runs) == 1:
            return record_error(runs[0], error)  # its log has the traceback
        # Runs whose training states cannot be used fail, and the others train together. If there is none, all
        # train alone, to find out which one failed.
        resumed = [run for run in runs if run.resume and isinstance(error, UserError)]
        alone = [run for run in resumed if not can_resume(run, cache)] or runs
        groups = [*([run] for run in alone), [run for run in runs if run not in alone]]
        return list(chain(*(_train(replace(stack, runs=group), console, cache) for group in groups)))
