"""Writes what trains into run folders."""

import logging
import re
from collections.abc import Sequence
from contextlib import ExitStack

from mlplab.runs.observers.messages import header_lines, row_warnings
from mlplab.runs.observers.open_run import OpenRun
from mlplab.training.fit import StackTrainer
from mlplab.training.observer import Observer
from mlplab.training.outcome import Outcome
from mlplab.training.run import Run
from mlplab.training.state import StackState
from mlplab.training.trainer import device_name

log = logging.getLogger(__name__)

FIGURE = re.compile(r"""('.*?'|".*?")|\b\d+%|\b0\.\d+""")
"""What differs between warnings about the same thing, or a name in quotes, in a group."""


class RunFolders(Observer):
    """Creates or reopens the folders of runs, writes their logs, and what they come to.

    Args:
        state: that from which the runs are resumed.
    """

    def __init__(self, runs: Sequence[OpenRun], state: StackState | None) -> None:
        self._runs, self._state = {run.run: run for run in runs}, state
        self.loggers = [logger for run in runs for logger in run.loggers]
        self.folder = str(runs[0].plan.folder)
        self._contexts, self._are_open = ExitStack(), False

    def on_fit_start(self, stack: StackTrainer) -> None:
        """Opens the folders of all runs, or of none, and writes what is known before training."""
        runs, state = [*self._runs.values()], self._state
        warnings = [row_warnings(run.run, run.warm_start, resumed=state is not None) for run in runs]
        overrides = [run.all_overrides() for run in runs]
        with ExitStack() as created:
            for run in runs:
                run.create_or_reopen(state)
                if not run.plan.resume:
                    created.callback(run.files.discard)
            for run in runs:
                run.log_configuration(state)
            created.pop_all()
        self._are_open = True
        show_warnings(runs[0].run.data.table.warned, [each for of_run in warnings for each in of_run])
        for run in runs:
            self._contexts.callback(run.files.lock.release)
        for run in runs:
            self._contexts.enter_context(run.files.log())
        device = device_name(stack.trainer)
        for run, words, of_run in zip(runs, overrides, warnings, strict=True):
            run.log_start(device, words, header_lines(run.run, stack, device, state), of_run)

    def ended(self, run: Run, outcome: Outcome) -> None:
        """Writes what a run came to; nothing if the folders could not be opened."""
        if self._are_open:
            self._runs[run].end(outcome)

    def close(self) -> None:
        """Ends the logs, and releases the folders."""
        self._contexts.close()


def show_warnings(shown: set[str], warnings: Sequence[str]) -> None:
    """Shows warnings on the terminal, each once for a table, though figures differ between folds; the runs'
    logs are not open yet."""
    for warning in warnings:
        if (what := FIGURE.sub(r"\1", warning)) not in shown:
            shown.add(what)
            log.warning("%s", warning)
