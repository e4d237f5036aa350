"""Trains a stack of a sweep. If one run fails, the others still finish."""

import logging
import time
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from mlplab.config import TrainConfig
from mlplab.data.cache import DataCache
from mlplab.errors import CannotWrite, FolderInUse, Interrupted, RunFailed, UserError, reason_of
from mlplab.runs.discovery import read_metrics
from mlplab.runs.folder import AS_PLANNED, Metrics, Stamp, record_failure, stamp_of
from mlplab.runs.resume import has_ended, was_started
from mlplab.runs.resume_state import StackCheckpoint, saved_state
from mlplab.runs.train import Run, train_runs
from mlplab.training.state import StackState

Outcome = Metrics | RunFailed
"""The content of a run's metrics.json, or why the run failed."""

IN_USE = 120.0
"""Seconds after which a folder that was in use by a process that has died is free on any file system."""

log = logging.getLogger(__name__)


class RunRaised(RunFailed):
    """An error ended the run; it may not occur again elsewhere."""


@dataclass(frozen=True)
class StackJob:
    """Runs of a sweep that train together.

    Args:
        title: such as `stack 1 of 4`.
        checkpoint: the file for their training state.
    """

    title: str
    runs: list[Run]
    checkpoint: StackCheckpoint

    @property
    def finished_message(self) -> str:
        """A log message."""
        count = len(self.runs)
        return f"{self.title} finished: {count} run{'s' * (count > 1)}"


def train_patiently(stack: StackJob, console: Console, cache: DataCache) -> dict[Path, Outcome]:
    """As `train_stack`, but waits for folders that another process is about to release.

    It may be the worker of a command that was killed, or another machine may see a file late.
    """
    deadline, waited = time.monotonic() + IN_USE, False
    while time.monotonic() < deadline:
        try:
            return train_stack(stack, console, cache, patient=True)
        except FolderInUse as error:
            if not waited:
                log.info("%s: waiting until it is free …", reason_of(error))
            waited = True
            time.sleep(1)
    return train_stack(stack, console, cache)


def train_stack(
    stack: StackJob, console: Console, cache: DataCache, *, patient: bool = False
) -> dict[Path, Outcome]:
    """Trains the runs of a stack that have not ended together. If one fails, trains the others individually.

    Raises:
        FolderInUse: if `patient`, and another process uses the folder of a run.
    """
    ended = {run.folder: ended_outcome(run.folder, run.config) for run in stack.runs}
    outcomes = {folder: outcome for folder, outcome in ended.items() if outcome}
    left = [replace(run, stamp=stamp_if_started(run.folder)) for run in stack.runs if not ended[run.folder]]
    stack = replace(stack, runs=left)
    try:
        shared = _shared_states(stack, cache)
    except UserError as error:
        return outcomes | {run.folder: failed_outcome(run, error) for run in left}
    passed_on: tuple[type[Exception], ...] = (Interrupted, CannotWrite)
    if patient:
        passed_on += (FolderInUse,)
    for runs, state in _groups(stack, shared, cache, outcomes):
        data = [cache.data(run.config) for run in runs]
        try:
            trained = train_runs(
                runs, data, console, title=f"{stack.title}  ", state=state, stack_checkpoint=stack.checkpoint
            )
            outcomes |= {run.folder: _outcome(each) for run, each in zip(runs, trained, strict=True)}
        except passed_on:
            raise
        except Exception as error:
            if len(runs) == 1:
                outcomes |= {
                    run.folder: failed_outcome(run, error) for run in runs
                }  # its log has the traceback
            else:
                shared = _shared_states(stack, cache)
                outcomes |= {run.folder: _train_alone(run, stack, shared, console, cache) for run in runs}
                stack.checkpoint.remove()
    return outcomes


def _shared_states(stack: StackJob, cache: DataCache) -> dict[Path, StackState]:
    return stack.checkpoint.load({run.folder: cache.data(run.config) for run in stack.runs})


def _groups(
    stack: StackJob, shared: Mapping[Path, StackState], cache: DataCache, outcomes: dict[Path, Outcome]
) -> list[tuple[list[Run], StackState | None]]:
    """Groups runs at the same step, with their training state. Runs with an unusable state have failed."""
    groups: dict[Hashable, list[tuple[Run, StackState | None]]] = {}
    for run in stack.runs:
        try:
            state = _latest_state(run, shared, cache)
        except UserError as error:
            outcomes[run.folder] = failed_outcome(run, error)
        else:
            groups.setdefault(state.join_key if state else None, []).append((run, state))
    return [
        (
            [run for run, _ in members],
            StackState.join([state for _, state in members if state]) if place else None,
        )
        for place, members in groups.items()
    ]


def _latest_state(run: Run, shared: Mapping[Path, StackState], cache: DataCache) -> StackState | None:
    """The later of the training states that the stack and the run itself have saved."""
    if not run.stamp:
        return None
    states = shared.get(run.folder), saved_state(run.folder, run.config, cache.data(run.config))
    return max((state for state in states if state), key=lambda state: state.step, default=None)


def _train_alone(
    run: Run, stack: StackJob, shared: Mapping[Path, StackState], console: Console, cache: DataCache
) -> Outcome:
    """Trains a run separately after its stack has failed, possibly because of a different run."""
    if outcome := ended_outcome(run.folder, run.config):
        return outcome
    again = replace(run, stamp=stamp_if_started(run.folder))
    try:
        state = _latest_state(again, shared, cache)
        data = [cache.data(run.config)]
        [metrics] = train_runs([again], data, console, title=f"{stack.title}  ", state=state)
    except (Interrupted, CannotWrite):
        raise
    except Exception as error:
        return failed_outcome(run, error)
    return _outcome(metrics)


def failed_outcome(run: Run, error: Exception) -> Outcome:
    """The outcome of a run after training raised an error; the run may have ended before that."""
    if outcome := ended_outcome(run.folder, run.config):
        return outcome
    failed = mark_failed(run.folder, run.config.plain(), reason_of(error))
    return failed if isinstance(error, UserError | RunFailed) else RunRaised(*failed.args)


def ended_outcome(folder: Path, run: TrainConfig) -> Outcome | None:
    """The outcome of a run that has ended for good."""
    return _outcome(read_metrics(folder)) if has_ended(folder, run) else None


def _outcome(metrics: Metrics) -> Outcome:
    return metrics if metrics["status"] in AS_PLANNED else RunFailed(metrics["reason"])


def mark_failed(folder: Path, values: Mapping[str, Any], reason: str) -> RunFailed:
    """Records in a run's folder that the run failed."""
    record_failure(folder, values, reason)
    return RunFailed(reason)


def stamp_if_started(folder: Path) -> Stamp | None:
    """The stamp of a run's folder, if the run was started."""
    return stamp_of(folder) if was_started(folder) else None
