"""Logs the curves of each run to its own loggers."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from mlplab.runs.loggers.points import STEP_LOSS, log_point
from mlplab.runs.observers.watched_run import WatchedRun
from mlplab.training.fit import Observer, StackTrainer

Point = Mapping[str, float]
"""Values by the names of their curves."""


class Curves(Observer):
    """Logs the values of each run after each epoch, counted from 1, with the best monitored one so far.

    Args:
        every: the training loss is logged at every nth step, too, as `STEP_LOSS`; 0: at none.
    """

    def __init__(self, runs: Sequence[WatchedRun], every: int) -> None:
        self._loggers, self._every = {run.run: run.loggers for run in runs}, every

    def on_epoch(self, stack: StackTrainer) -> None:
        """Logs one point of every curve."""
        history = stack.history
        points = [dict(zip(history.names, values, strict=True)) for values in history.values.T.tolist()]
        self._log(stack, history.active, points, stack.module.progress.epoch)

    def on_step(self, stack: StackTrainer) -> None:
        """Logs the losses if it is an nth step."""
        members, step = stack.module.members, stack.trainer.global_step
        if self._every and step % self._every == 0:
            points = [{STEP_LOSS: loss} for loss in members.by_run(stack.module.last_losses()).tolist()]
            self._log(stack, members.active_runs(), points, step)

    def _log(self, stack: StackTrainer, active: Tensor, points: Sequence[Point], at: int) -> None:
        for run, is_active, point in zip(stack.runs, active.tolist(), points, strict=True):
            if is_active:
                log_point(point, self._loggers[run], at)
