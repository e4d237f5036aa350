"""Logs the curves of each run to its own loggers."""

from collections.abc import Mapping, Sequence

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from tensorboard.compat.proto.summary_pb2 import Summary

from mlplab.config.metrics import sign_of
from mlplab.training.callbacks.best_weights import BestWeights
from mlplab.training.callbacks.stack_callback import StackCallback
from mlplab.training.module import StackModule
from mlplab.training.private_interfaces import add_summary

STEP_LOSS = "train/loss_step"
"""The only curve with one point per step instead of per epoch."""

BEST = "_best"
"""What follows the monitored metric in the name of the curve of its best value so far."""


class EpochCurves(StackCallback):
    """Logs each run's values, and the best monitored one so far, after each epoch, counted from 1.

    Those of an ensemble are means: the values, of its active members; the best values, of all that have not
    diverged.

    Args:
        best: has compared the epoch's values already.
    """

    def __init__(self, loggers: Sequence[Sequence[Logger]], best: BestWeights) -> None:
        self.loggers, self.best = loggers, best

    def on_epoch(self, trainer: Trainer, module: StackModule) -> None:
        """Logs one point of every curve."""
        names = *module.values, module.monitor + BEST
        values = module.by_run(torch.stack([*module.values.values()]))
        best = sign_of(module.monitor) * self.best.by_run(module)
        by_run = torch.cat([values, best[None]]).T.tolist()
        for run, is_active in enumerate(module.active_runs().tolist()):
            if is_active:
                point = dict(zip(names, by_run[run], strict=True))
                log_point(point, self.loggers[run], module.completed_epochs)


class StepCurves(StackCallback):
    """Logs each run's training loss to its own loggers at every nth step, as `STEP_LOSS`."""

    def __init__(self, loggers: Sequence[Sequence[Logger]], every: int) -> None:
        self.loggers, self.every = loggers, every

    def on_step(self, trainer: Trainer, module: StackModule) -> None:
        """Logs the losses if it is an nth step."""
        if trainer.global_step % self.every == 0:
            losses, active = module.by_run(module.last_losses()).tolist(), module.active_runs().tolist()
            for run, (loss, loggers) in enumerate(zip(losses, self.loggers, strict=True)):
                if active[run]:
                    log_point({STEP_LOSS: loss}, loggers, trainer.global_step)


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
