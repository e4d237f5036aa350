"""Builds and closes loggers, and truncates their files when a run is resumed."""

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lightning.pytorch.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.summary.writer.record_writer import RecordWriter

from mlplab import config
from mlplab.config.allowed_classes import import_class, instantiate
from mlplab.errors import is_disk_error
from mlplab.files import replacing
from mlplab.runs.loggers.points import STEP_LOSS
from mlplab.runs.loggers.trackers import Tracker, default_arguments
from mlplab.training.private_interfaces import forget_anonymous

OURS: dict[type[Logger], str] = {MLFlowLogger: "mlplab.runs.loggers.trackers.BatchedMLFlowLogger"}
"""What is used instead of loggers of Lightning."""


def build_loggers(run: config.TrainConfig, folder: Path, kind: type[Logger] = Logger) -> list[Logger]:
    """The loggers of a run that are of this kind, with its folder as their `save_dir`.

    Raises:
        UserError: if one cannot be built.
    """
    loggers = []
    for section in run.logger.values():
        if issubclass(found := import_class(section.class_path, Logger), kind):  # type: ignore[type-abstract]
            arguments = {**default_arguments(found, folder), **section.arguments}
            path = OURS.get(found, section.class_path)
            loggers.append(instantiate(path, kind, save_dir=str(folder), **arguments))
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
                if not tags or _remains(tags, event.step, epoch, step):
                    writer.write(record)
            writer.flush()


def _remains(curves: Iterable[str], number: int, epoch: int, step: int) -> bool:
    """Whether a point of these curves is up to that epoch or step.

    What is at step 0 is written again.

    Our curves are by epoch but for one; those of custom callbacks are by step.
    """
    by_epoch = all(name.startswith(("train/", "val/")) and name != STEP_LOSS for name in curves)
    return 0 < number <= (epoch if by_epoch else step)


def close_loggers(loggers: Sequence[Logger], *, success: bool) -> None:
    """Closes the loggers of a run but trackers, which get its result later."""
    for logger in loggers:
        if isinstance(logger, Tracker):
            continue
        logger.finalize("success" if success else "failed")
        if isinstance(logger, TensorBoardLogger):  # the same as the run's config.yaml, or nothing
            (Path(logger.log_dir) / logger.NAME_HPARAMS_FILE).unlink(missing_ok=True)
