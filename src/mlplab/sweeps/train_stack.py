"""Trains a stack of a sweep. If one run fails, the others still finish."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from mlplab.console import plural
from mlplab.data.cache import DataCache
from mlplab.errors import CannotWrite, FolderInUse, Interrupted, UserError, reason_of
from mlplab.runs.folder import record_failure
from mlplab.runs.resume import has_ended, was_started
from mlplab.runs.run import Run
from mlplab.runs.stack.checkpoints import stack_files, state_error
from mlplab.runs.train import train_runs
from mlplab.training import checkpoint

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PlannedStack:
    """Runs of a sweep that train together.

    Args:
        title: such as `stack 1 of 4`.
        file: the file for their training state.
    """

    title: str
    runs: Sequence[Run]
    file: Path

    @property
    def finished_message(self) -> str:
        """A log message."""
        return f"{self.title} finished: {plural(len(self.runs), 'run')}"


def train_stack(stack: PlannedStack, console: Console, cache: DataCache) -> None:
    """Trains the runs of a stack that have not ended together. If one fails, trains the others individually.

    What becomes of each run is in its folder. Waits while another process uses one of the folders: the worker
    of a command that was killed, for example.

    Raises:
        Interrupted: after SIGINT or SIGTERM, with the training state saved.
        CannotWrite: if the disk is full.
    """
    waited = False
    while True:
        try:
            _train(stack, stack.runs, console, cache)
            for file in stack_files(stack.file):
                checkpoint.remove(file)
            return
        except FolderInUse as error:
            if not waited:
                log.info("%s: waiting until it is free …", reason_of(error))
            waited = True
            time.sleep(1)


def _train(stack: PlannedStack, runs: Sequence[Run], console: Console, cache: DataCache) -> None:
    """Trains those runs of a stack that have not ended; if one fails, one after another."""
    runs = [
        replace(run, resume=was_started(run.folder)) for run in runs if not has_ended(run.folder, run.config)
    ]
    if not runs:
        return
    try:
        train_runs(runs, cache, console, title=f"{stack.title}  ", stack_file=stack.file)
    except (Interrupted, CannotWrite, FolderInUse):
        raise
    except Exception as error:
        if len(runs) == 1:
            record_error(runs[0], error)  # its log has the traceback
            return
        unusable: dict[Path, UserError] = {}
        if isinstance(error, UserError):  # perhaps of some runs' training states
            resumed = [run for run in runs if run.resume]
            unusable = {run.folder: reason for run in resumed if (reason := state_error(run, cache))}
        for run in runs:
            if run.folder in unusable:
                record_error(run, unusable[run.folder])
        left = [run for run in runs if run.folder not in unusable]
        for group in [left] if unusable else [[run] for run in left]:
            _train(stack, group, console, cache)


def record_error(run: Run, error: Exception) -> None:
    """Records in a run's folder why it failed, unless it has ended."""
    if not has_ended(run.folder, run.config):
        log.warning("%s failed: %s", run.folder.name, reason_of(error))
        record_failure(run.folder, run.config.plain(), reason_of(error))
