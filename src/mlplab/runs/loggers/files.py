"""Builds and closes loggers, and truncates their files when a run is resumed."""

import csv
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from lightning.pytorch.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.summary.writer.record_writer import RecordWriter

from mlplab import config
from mlplab.config.allowed_classes import import_class, instantiate
from mlplab.errors import is_disk_error
from mlplab.files import replacing
from mlplab.runs.loggers.points import STEP_LOSS, log_point
from mlplab.runs.loggers.trackers import BatchedMLFlowLogger, Tracker, default_arguments
from mlplab.training.private_interfaces import forget_anonymous

OURS: dict[type[Logger], str] = {
    MLFlowLogger: f"{BatchedMLFlowLogger.__module__}.{BatchedMLFlowLogger.__qualname__}"
}
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
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            _truncate_events(Path(logger.log_dir), epoch, step)
        elif isinstance(logger, CSVLogger):
            _truncate_rows(logger, epoch, step)


def _truncate_events(folder: Path, epoch: int, step: int) -> None:
    """Copies the remaining points to one file; incomplete records at the end of a file are dropped.

    Points in two files are copied once: a kill between the replacement and the removals below leaves both.
    """
    files = sorted(folder.glob("events.out.tfevents.*"))
    if not files:
        return
    records = (record for path in files for record in RawEventFileLoader(str(path)).Load())
    seen: set[tuple[int, str]] = set()
    with replacing(files[0]) as partial, partial.open("wb") as file:
        writer = RecordWriter(file)
        for number, event in enumerate(map(Event.FromString, records)):
            tags = [value.tag for value in event.summary.value]
            points = {(event.step, tag) for tag in tags}
            if number == 0 or (tags and _remains(tags, event.step, epoch, step) and not points & seen):
                writer.write(event.SerializeToString())
                seen |= points
        writer.flush()
    for path in files[1:]:
        path.unlink()


def _remains(curves: Iterable[str], number: int, epoch: int, step: int) -> bool:
    """Whether a point of these curves is up to that epoch or step.

    What is at step 0 is written again.

    Our curves are by epoch but for one; those of custom callbacks are by step.
    """
    by_epoch = all(name.startswith(("train/", "val/")) and name != STEP_LOSS for name in curves)
    return 0 < number <= (epoch if by_epoch else step)


def _truncate_rows(logger: CSVLogger, epoch: int, step: int) -> None:
    """Logs the remaining rows again, because Lightning starts a new file."""
    path = Path(logger.log_dir) / "metrics.csv"
    if not path.is_file():
        return
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        rows = list(csv.DictReader(file))
    for written_again in (path, path.with_name("hparams.yaml")):
        written_again.unlink(missing_ok=True)
    for row in rows:
        with suppress(ValueError, TypeError):  # from a damaged row
            number = int(row.pop("step", None) or 0)
            point = {name: float(value) for name, value in row.items() if value}
            if _remains(point, number, epoch, step):
                log_point(point, [logger], number)
    logger.save()


def close_loggers(loggers: Sequence[Logger], *, success: bool) -> None:
    """Closes the loggers of a run but trackers, which get its result later."""
    for logger in loggers:
        if isinstance(logger, Tracker):
            continue
        logger.finalize("success" if success else "failed")
        if isinstance(logger, TensorBoardLogger):  # the same as the run's config.yaml, or nothing
            (Path(logger.log_dir) / logger.NAME_HPARAMS_FILE).unlink(missing_ok=True)
