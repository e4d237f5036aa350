"""A stack that a sweep has planned, and runs of it that fail. Imports no torch."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mlplab.console import plural
from mlplab.errors import reason_of
from mlplab.runs.discovery import read_metrics
from mlplab.runs.folder import record_failure
from mlplab.runs.planned_run import PlannedRun
from mlplab.runs.resume import FINAL, has_ended
from mlplab.training.callbacks.rungs import Bracket

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PlannedStack:
    """Runs of a sweep that train together, with a title such as `stack 1 of 4` and a file for their state.

    Args:
        share: of the time that is left until their deadline when they begin.
    """

    title: str
    runs: Sequence[PlannedRun]
    file: Path
    share: float = 1.0

    @property
    def finished_message(self) -> str:
        """A log message."""
        return f"{self.title} finished: {plural(len(self.runs), 'run')}"

    def beginning_now(self) -> list[PlannedRun]:
        """The runs, with the deadline of their stack if it begins now."""
        now = time.time()

        def timed(bracket: Bracket) -> Bracket:
            return replace(bracket, deadline=now + self.share * (bracket.deadline - now))

        return [replace(run, bracket=run.bracket and timed(run.bracket)) for run in self.runs]


def record_error(run: PlannedRun, error: Exception) -> list[Exception]:
    """Records in a run's folder why it failed, unless it has ended; returns the error if it could not."""
    if has_ended(run.folder, run.config):
        return []
    log.warning("%s failed: %s", run.folder.name, reason_of(error))
    record_failure(run.folder, run.config.plain(), reason_of(error))
    return [] if read_metrics(run.folder)["status"] in (*FINAL, "failed") else [error]
