"""The checkpoints of a training, from which its runs resume if the process is killed: saved at times."""

from collections.abc import Sequence
from math import inf
from pathlib import Path
from time import perf_counter

from mlplab.runs import checkpoint
from mlplab.runs.observers.open_run import OpenRun
from mlplab.runs.resume import name_in_sweep
from mlplab.training.fit import Observer, StackTrainer
from mlplab.training.stack.calibrate_and_test import metrics_of, of_members


class Checkpoints(Observer):
    """Saves the training state at intervals, in case the process is killed.

    Args:
        runs: of the stack; each saves its state in its own folder, unless there is a file.
        file: the checkpoint of a sweep's stack, in a subfolder of the sweep's folder.
    """

    def __init__(self, runs: Sequence[OpenRun], file: Path | None) -> None:
        minutes = runs[0].run.config.callbacks.checkpoint.every_minutes
        self._seconds, self._last = inf if minutes is None else 60 * minutes, perf_counter()
        self._runs, self._file = {run.run: run for run in runs}, file

    def on_step(self, stack: StackTrainer) -> None:
        """Saves within an epoch if it is time; after an epoch's last step, `on_epoch` saves."""
        if stack.module.progress.step < stack.module.progress.steps:
            self.on_epoch(stack)

    def on_epoch(self, stack: StackTrainer) -> None:
        """Saves between epochs if it is time."""
        if perf_counter() - self._last >= self._seconds:
            self._save(stack)
            self._last = perf_counter()

    def on_stop(self, stack: StackTrainer) -> None:
        """Saves what was decided by several runs together: it must not change."""
        if len(self._runs) > 1 and (stack.signals.received or stack.pruning.reasons):
            self._save(stack)

    def _save(self, stack: StackTrainer) -> None:
        """Saves the states of all runs in one file, or in their folders: there, weights that are not finite
        never replace finite ones.

        The file names runs, in the order of the state's members, by their folders in the sweep's folder.
        """
        runs = [self._runs[run] for run in stack.runs]
        for logger in (logger for run in runs for logger in run.loggers):
            logger.save()  # so that its points are not lost if the process is killed
        state = stack.state()
        if self._file:
            names = [name_in_sweep(self._file, run.plan) for run in runs]
            tables = [dict(run.run.data.fingerprint) for run in runs]
            checkpoint.save(self._file, {"runs": names, "tables": tables, "training": state.plain()})
            return
        for index, run in enumerate(runs):
            members, metrics = stack.members_not_diverged(index), metrics_of(stack, index)
            network = of_members(state.parts["network"], members)
            if all(tensor.isfinite().all() for tensor in network.values()):
                weights = {member % stack.module.members.ensemble: 1 / len(members) for member in members}
                run.save_last(metrics, weights, network, state.select(stack.members(index)))
