"""Trains a stack of a sweep. If one run fails, the others still finish."""

import logging
import time
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from mlplab.console import plural
from mlplab.data.cache import DataCache
from mlplab.errors import CannotWrite, FolderInUse, Interrupted, UserError, reason_of
from mlplab.runs.folder import record_failure, stamp_of
from mlplab.runs.resume import has_ended, was_started
from mlplab.runs.resume_state import StackCheckpoint, saved_state
from mlplab.runs.run import Run
from mlplab.runs.train import train_runs
from mlplab.training.state import StackState

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PlannedStack:
    """Runs of a sweep that train together.

    Args:
        title: such as `stack 1 of 4`.
        checkpoint: the file for their training state.
    """

    title: str
    runs: Sequence[Run]
    checkpoint: StackCheckpoint

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
            return
        except FolderInUse as error:
            if not waited:
                log.info("%s: waiting until it is free …", reason_of(error))
            waited = True
            time.sleep(1)


def _train(
    stack: PlannedStack, runs: Sequence[Run], console: Console, cache: DataCache, *, together: bool = True
) -> None:
    """Trains those runs of a stack that have not ended, together or one after another."""
    runs = [
        replace(run, stamp=stamp_of(run.folder) if was_started(run.folder) else None)
        for run in runs
        if not has_ended(run.folder, run.config)
    ]
    try:
        shared = stack.checkpoint.load({run.folder: cache.data(run.config) for run in runs})
    except UserError as error:
        for run in runs:
            record_error(run, error)
        return
    for group, state in _groups(runs, shared, cache, together=together):
        data, title = [cache.data(run.config) for run in group], f"{stack.title}  "
        checkpoint = stack.checkpoint if together else None
        try:
            train_runs(group, data, console, title=title, state=state, stack_checkpoint=checkpoint)
        except (Interrupted, CannotWrite, FolderInUse):
            raise
        except Exception as error:
            if len(group) == 1:
                record_error(group[0], error)  # its log has the traceback
            else:
                _train(stack, group, console, cache, together=False)
                stack.checkpoint.remove()


def _groups(
    runs: Sequence[Run], shared: Mapping[Path, StackState], cache: DataCache, *, together: bool
) -> list[tuple[list[Run], StackState | None]]:
    """The runs that can train together, as they are at the same step, with their training state.

    Runs with an unusable state have failed.
    """
    groups: dict[Hashable, list[tuple[Run, StackState | None]]] = {}
    for run in runs:
        try:
            state = _latest_state(run, shared, cache)
        except UserError as error:
            record_error(run, error)
        else:
            key = (state.join_key if state else None) if together else run.folder
            groups.setdefault(key, []).append((run, state))
    return [
        (
            [run for run, _ in members],
            StackState.join([state for _, state in members if state]) if members[0][1] else None,
        )
        for members in groups.values()
    ]


def _latest_state(run: Run, shared: Mapping[Path, StackState], cache: DataCache) -> StackState | None:
    """The later of the training states that the stack and the run itself have saved."""
    if not run.stamp:
        return None
    states = shared.get(run.folder), saved_state(run.folder, run.config, cache.data(run.config))
    return max((state for state in states if state), key=lambda state: state.step, default=None)


def record_error(run: Run, error: Exception) -> None:
    """Records in a run's folder why it failed, unless it has ended."""
    if not has_ended(run.folder, run.config):
        record_failure(run.folder, run.config.plain(), reason_of(error))
