"""Logs the curves of each run to its own loggers."""

from collections.abc import Mapping, Sequence

from lightning.pytorch.loggers import Logger, TensorBoardLogger
from tensorboard.compat.proto.summary_pb2 import Summary

from mlplab.training.fit import StackTrainer
from mlplab.training.observer import Observer
from mlplab.training.private_interfaces import add_summary
from mlplab.training.run import Run

STEP_LOSS = "train/loss_step"
"""The only curve with one point per step instead of per epoch."""

Loggers = Mapping[Run, Sequence[Logger]]


class EpochCurves(Observer):
    """Logs each run's values, and the best monitored one so far, after each epoch, counted from 1."""

    def __init__(self, loggers: Loggers) -> None:
        self._loggers = loggers

    def on_epoch(self, stack: StackTrainer) -> None:
        """Logs one point of every curve."""
        history, epoch = stack.history, stack.module.completed_epochs
        by_run = history.values.T.tolist()
        for run, is_active, values in zip(stack.runs, history.active.tolist(), by_run, strict=True):
            if is_active:
                log_point(dict(zip(history.names, values, strict=True)), self._loggers[run], epoch)


class StepCurves(Observer):
    """Logs each run's training loss to its own loggers at every nth step, as `STEP_LOSS`."""

    def __init__(self, loggers: Loggers, every: int) -> None:
        self._loggers, self._every = loggers, every

    def on_step(self, stack: StackTrainer) -> None:
        """Logs the losses if it is an nth step."""
        module, step = stack.module, stack.trainer.global_step
        if step % self._every == 0:
            losses, active = module.by_run(module.last_losses()).tolist(), module.active_runs().tolist()
            for run, is_active, loss in zip(stack.runs, active, losses, strict=True):
                if is_active:
                    log_point({STEP_LOSS: loss}, self._loggers[run], step)


def log_point(point: Mapping[str, float], loggers: Sequence[Logger], step: int) -> None:
    """Logs a point of each curve.

    TensorBoard gets one event for all curves. Lightning would write one for each, which takes as long as an
    epoch of a small network.
    """
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            values = [Summary.Value(tag=name, simple_value=value) for name, value in point.items()]
            add_summary(logger.experiment, Summary(value=values), step)
        else:
            logger.log_metrics(dict(point), step)
