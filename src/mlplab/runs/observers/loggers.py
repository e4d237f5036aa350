"""Builds and closes loggers, logs points, and what TensorBoard shows beside the curves."""

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from lightning.pytorch.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter
from torch import Tensor
from torch.utils.tensorboard.summary import hparams

from mlplab.config import Mark, TrainConfig, flat, is_marked
from mlplab.config.allowed_classes import import_class, instantiate
from mlplab.errors import is_disk_error
from mlplab.files import replacing
from mlplab.runs.observers.trackers import Tracker, default_arguments
from mlplab.training.callbacks.best_weights import BEST
from mlplab.training.fit import Observer, StackTrainer
from mlplab.training.private_interfaces import add_summary, forget_anonymous
from mlplab.training.run import Run

# The only curve with one point per step instead of per epoch.
STEP_LOSS = "train/loss_step"


def build_loggers(run: TrainConfig, folder: Path) -> list[Logger]:
    """The loggers of a run, with its folder as their `save_dir`.

    Raises:
        UserError: if one cannot be built.
    """
    loggers = []
    for section in run.logger.values():
        kind = import_class(section.class_path, Logger)  # type: ignore[type-abstract]
        is_mlflow = kind is MLFlowLogger
        path = "mlplab.runs.observers.trackers.BatchedMLFlowLogger" if is_mlflow else section.class_path
        arguments = {**default_arguments(kind, folder), **section.arguments}
        loggers.append(instantiate(path, Logger, save_dir=str(folder), **arguments))  # type: ignore[type-abstract]
        if isinstance(loggers[-1], WandbLogger):
            forget_anonymous(loggers[-1])
    return loggers


@contextmanager
def quiet_writer_threads() -> Iterator[None]:
    """Silences TensorBoard's writer thread when the disk is full, which the run itself reports."""
    previous = threading.excepthook

    def hook(raised: threading.ExceptHookArgs) -> None:
        if raised.exc_value is None or not is_disk_error(raised.exc_value):
            previous(raised)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = previous


def truncate_curves(loggers: Sequence[Logger], epoch: int, step: int) -> None:
    """Removes the points after an epoch and a step, which a resumed run logs again.

    TensorBoard's `purge_step` cannot do that: it hides points of all curves from one number on, but our
    curves count epochs or steps. Besides, points removed here are removed for all readers of the files.
    """
    folders = [logger.log_dir for logger in loggers if isinstance(logger, TensorBoardLogger)]
    for path in (path for folder in folders for path in Path(folder).glob("events.out.tfevents.*")):
        with replacing(path) as partial, partial.open("wb") as file:
            writer = RecordWriter(file)
            for record in RawEventFileLoader(str(path)).Load():  # but for an incomplete one at the end
                event = Event.FromString(record)
                tags = [value.tag for value in event.summary.value]
                # Our curves are by epoch but for one; those of custom callbacks are by step.
                by_epoch = all(tag.startswith(("train/", "val/")) and tag != STEP_LOSS for tag in tags)
                # What is at step 0 is written again.
                if not tags or 0 < event.step <= (epoch if by_epoch else step):
                    writer.write(record)
            writer.flush()


def close_loggers(loggers: Sequence[Logger], *, success: bool) -> None:
    """Closes the loggers of a run but trackers, which get its result later; says if it has ended well."""
    for logger in loggers:
        if isinstance(logger, Tracker):
            continue
        if success and isinstance(logger, TensorBoardLogger):
            _, _, ended = hparams({}, {})  # type: ignore[no-untyped-call]
            add_summary(logger.experiment, ended, 0)
        logger.finalize("success" if success else "failed")
        if isinstance(logger, TensorBoardLogger):  # the same as the run's config.yaml, or nothing
            (Path(logger.log_dir) / logger.NAME_HPARAMS_FILE).unlink(missing_ok=True)


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


def log_start(loggers: Sequence[Logger], run: TrainConfig) -> None:
    """Logs what is known before training.

    The HParams tab gets no description of the experiment, as torch's `add_hparams` writes it: without one,
    TensorBoard lists the hyperparameters in which runs differ first, and takes the last point of every curve
    as a metric. Other loggers only get the hyperparameters, and trackers those of `log_configuration`.
    """
    values = hyperparameters(run)
    charts = {"loss": ["train/loss", "val/loss"], run.monitor: [run.monitor, run.monitor + BEST]}
    curves = {"curves": {name: ["Multiline", tags] for name, tags in charts.items()}}
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            _, started, _ = hparams(dict(values), {})  # type: ignore[no-untyped-call]
            add_summary(logger.experiment, started, 0)
            logger.experiment.add_custom_scalars(curves)
        elif not isinstance(logger, Tracker):
            logger.log_hyperparams(dict(values))


NOT_OF_THE_NETWORK = ("threads", "callbacks.checkpoint.", "logger.")


def hyperparameters(run: TrainConfig) -> dict[str, str | float | int | bool]:
    """The values that change something about the network; lists and null as text."""
    values = [
        (key, value)
        for key, value in flat(run.plain())
        if not (is_marked(key, Mark.COSMETIC) or key.startswith(NOT_OF_THE_NETWORK))
    ]
    texts = {key: "null" if value is None else re.sub(r"[' ]", "", str(value)) for key, value in values}
    return {key: value if isinstance(value, str | float | int) else texts[key] for key, value in values}


class Curves(Observer):
    """Logs the values of each run after each epoch, counted from 1, with the best monitored one so far.

    Args:
        loggers: of each run.
        every: the training loss is logged at every nth step, too, as `STEP_LOSS`; 0: at none.
    """

    def __init__(self, loggers: Mapping[Run, Sequence[Logger]], every: int) -> None:
        self._loggers, self._every = loggers, every

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

    def _log(self, stack: StackTrainer, active: Tensor, points: list[dict[str, float]], at: int) -> None:
        for run, is_active, point in zip(stack.runs, active.tolist(), points, strict=True):
            if is_active:
                log_point(point, self._loggers[run], at)
