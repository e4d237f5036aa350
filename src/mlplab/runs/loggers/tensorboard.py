"""What TensorBoard shows beside the curves: hyperparameters, charts of several curves, and images.

All of it is at step 0, and is written again when a run is resumed.
"""

import re
from collections.abc import Mapping, Sequence

from lightning.pytorch.loggers import Logger, TensorBoardLogger
from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from mlplab import config
from mlplab.config import Mark, is_marked
from mlplab.config.dotted_keys import flat
from mlplab.runs.loggers.trackers import Tracker
from mlplab.training.callbacks.best_weights import BEST
from mlplab.training.private_interfaces import add_summary

IMAGES = "visuals/"
"""The group of images. TensorBoard sorts groups by name, and curves are to come first."""

PNG_SIZE = slice(16, 20), slice(20, 24)
"""Where a PNG holds its width and its height."""


def log_start(loggers: Sequence[Logger], run: config.TrainConfig) -> None:
    """Logs what is known before training.

    The HParams tab gets no description of the experiment, as torch's `add_hparams` writes it: without one,
    TensorBoard lists the hyperparameters in which runs differ first, and takes the last point of every curve
    as a metric. Other loggers only get the hyperparameters, and trackers those of `log_configuration`.
    """
    values = hyperparameters(run)
    for logger in loggers:
        if not isinstance(logger, TensorBoardLogger | Tracker):
            logger.log_hyperparams(dict(values))
    for writer in writers_of(loggers):
        _, started, _ = hparams(dict(values), {})  # type: ignore[no-untyped-call]
        add_summary(writer, started, 0)
        charts = {"loss": ["train/loss", "val/loss"], run.monitor: [run.monitor, run.monitor + BEST]}
        writer.add_custom_scalars({"curves": {name: ["Multiline", tags] for name, tags in charts.items()}})


def hyperparameters(run: config.TrainConfig) -> dict[str, str | float | int | bool]:
    """The values that change something about the network; lists and null as text."""
    values = [(key, value) for key, value in flat(run.plain()) if not is_marked(key, Mark.COSMETIC)]
    texts = {key: "null" if value is None else re.sub(r"[' ]", "", str(value)) for key, value in values}
    return {key: value if isinstance(value, str | float | int) else texts[key] for key, value in values}


def log_end(loggers: Sequence[Logger]) -> None:
    """Logs that a run has ended."""
    for writer in writers_of(loggers):
        _, _, ended = hparams({}, {})  # type: ignore[no-untyped-call]
        add_summary(writer, ended, 0)


def log_images(loggers: Sequence[Logger], images: Mapping[str, bytes]) -> None:
    """Logs PNG images by name."""
    for writer in writers_of(loggers):
        for name, png in images.items():
            width, height = (int.from_bytes(png[place], "big") for place in PNG_SIZE)
            image = Summary.Image(width=width, height=height, colorspace=4, encoded_image_string=png)
            add_summary(writer, Summary(value=[Summary.Value(tag=IMAGES + name, image=image)]), 0)


def writers_of(loggers: Sequence[Logger]) -> list[SummaryWriter]:
    """The writers of the loggers for TensorBoard."""
    return [logger.experiment for logger in loggers if isinstance(logger, TensorBoardLogger)]
