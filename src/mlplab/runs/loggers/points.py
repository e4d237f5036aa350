"""Logs points of curves."""

from collections.abc import Mapping, Sequence

from lightning.pytorch.loggers import Logger, TensorBoardLogger
from tensorboard.compat.proto.summary_pb2 import Summary

from mlplab.training.private_interfaces import add_summary

STEP_LOSS = "train/loss_step"
"""The only curve with one point per step instead of per epoch."""


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
