"""Writes what trains into run folders."""

from collections.abc import Sequence
from contextlib import ExitStack

from mlplab.runs.observers.open_run import OpenRun
from mlplab.training.fit import StackTrainer
from mlplab.training.observer import Observer
from mlplab.training.outcome import Outcome
from mlplab.training.run import Run
from mlplab.training.state import StackState


class RunFolders(Observer):
    """Creates or reopens the folders of runs, writes their logs, and what they come to.

    Args:
        state: that from which the runs are resumed.
    """

    def __init__(self, runs: Sequence[OpenRun], state: StackState | None) -> None:
        self._runs, self._state = runs, state
        self._open: dict[Run, OpenRun] = {}
        self.loggers = [logger for run in runs for logger in run.loggers]
        self.folder = str(runs[0].plan.folder)
        self._contexts = ExitStack()

    def on_fit_start(self, stack: StackTrainer) -> None:
        """Opens the folders of all runs, or of none."""
        with ExitStack() as created:
            for run in self._runs:
                run.create_or_reopen(self._state)
                if not run.plan.resume:
                    created.callback(run.files.discard)
            for run in self._runs:
                run.log_configuration(self._state)
            created.pop_all()
        self._open = {run.run: run for run in self._runs}
        for run in self._runs:
            self._contexts.callback(run.files.lock.release)
        for run in self._runs:
            self._contexts.enter_context(run.files.log())
        for run in self._runs:
            run.log_start()

    def ended(self, run: Run, outcome: Outcome) -> None:
        """Writes what a run came to; nothing if the folders could not be opened."""
        if run in self._open:
            self._open[run].end(outcome)

    def close(self) -> None:
        """Ends the logs, and releases the folders."""
        self._contexts.close()
