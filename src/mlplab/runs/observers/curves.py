"""Logs the curves of each run to its own loggers."""

from collections.abc import Sequence

from mlplab.runs.loggers.points import STEP_LOSS, log_point
from mlplab.runs.observers.watched_run import WatchedRun
from mlplab.training.fit import StackTrainer
from mlplab.training.observer import Observer


class EpochCurves(Observer):
    """Logs each run's values, and the best monitored one so far, after each epoch, counted from 1."""

    def __init__(self, runs: Sequence[WatchedRun]) -> None:
        self._loggers = {run.run: run.loggers for run in runs}

    def on_epoch(self, stack: StackTrainer) -> None:
        """Logs one point of every curve."""
        history, epoch = stack.history, stack.module.progress.epoch
        by_run = history.values.T.tolist()
        for run, is_active, values in zip(stack.runs, history.active.tolist(), by_run, strict=True):
            if is_active:
                log_point(dict(zip(history.names, values, strict=True)), self._loggers[run], epoch)


class StepCurves(Observer):
    """Logs each run's training loss to its own loggers at every nth step, as `STEP_LOSS`."""

    def __init__(self, runs: Sequence[WatchedRun], every: int) -> None:
        self._loggers, self._every = {run.run: run.loggers for run in runs}, every

    def on_step(self, stack: StackTrainer) -> None:
        """Logs the losses if it is an nth step."""
        module, step = stack.module, stack.trainer.global_step
        if step % self._every == 0:
            losses, active = (
                module.members.by_run(module.last_losses()).tolist(),
                module.members.active_runs().tolist(),
            )
            for run, is_active, loss in zip(stack.runs, active, losses, strict=True):
                if is_active:
                    log_point({STEP_LOSS: loss}, self._loggers[run], step)
