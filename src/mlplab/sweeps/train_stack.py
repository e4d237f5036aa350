"""Trains a stack of a sweep. If one run fails, the others still finish."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from mlplab.config import TrainConfig
from mlplab.data.cache import DataCache
from mlplab.errors import CannotWrite, FolderInUse, Interrupted, RunFailed, UserError, reason_of
from mlplab.runs.discovery import read_metrics
from mlplab.runs.folder import AS_PLANNED, Metrics, record_failure
from mlplab.runs.resume import has_ended, was_started
from mlplab.runs.run import Run
from mlplab.runs.train import train_runs
from mlplab.training import checkpoint

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
        file: the file for their training state.
    """

    title: str
    runs: list[Run]
    file: Path

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
    left = [replace(run, resume=was_started(run.folder)) for run in stack.runs if not ended[run.folder]]
    passed_on: tuple[type[Exception], ...] = (Interrupted, CannotWrite)
    if patient:
        passed_on += (FolderInUse,)
    try:
        trained = train_runs(left, cache, console, title=f"{stack.title}  ", stack_file=stack.file)
        outcomes |= {run.folder: _outcome(each) for run, each in zip(left, trained, strict=True)}
    except passed_on:
        raise
    except Exception as error:
        if len(left) == 1:
            outcomes[left[0].folder] = failed_outcome(left[0], error)  # its log has the traceback
        else:
            for run in left:
                outcomes |= train_stack(replace(stack, runs=[run]), console, cache, patient=patient)
    if len(stack.runs) > 1:  # the runs of a failed stack train one after another, all from its file
        checkpoint.remove(stack.file)
    return outcomes


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
