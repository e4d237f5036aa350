"""Curves of a run that goes on: flushed before its state is kept, cut back to it before it goes on."""

import csv
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.summary.writer.record_writer import RecordWriter
from torch import Tensor

from mlplab.files import replacing
from mlplab.training.callbacks import STEP_LOSS


def flush(loggers: Sequence[Logger]) -> None:
    """Hands what was logged to the system, so that a kill does not lose it."""
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.experiment.flush()
        else:
            logger.save()


def cut_back(loggers: Sequence[Logger], epoch: int, step: int) -> None:
    """Removes the points after an epoch and a step, which will come again, before anything is logged.

    TensorBoard's own `purge_step` hides points of all curves from one number on; ours count epochs, or steps.
    And what is cut away here no other reader of the files sees.
    """
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            _cut_events(Path(logger.log_dir), epoch, step)
        elif isinstance(logger, CSVLogger):
            _cut_rows(logger, epoch, step)


def _cut_events(folder: Path, epoch: int, step: int) -> None:
    """Copies what is kept to one file; a file whose end was never written ends before.

    A point counts once, as both files have it where an earlier try was killed between its two last lines.
    """
    files = sorted(folder.glob("events.out.tfevents.*"))
    if not files:
        return
    seen: set[tuple[int, str]] = set()
    with replacing(files[0]) as partial, partial.open("wb") as file:
        writer = RecordWriter(file)
        for number, event in enumerate(each for path in files for each in _events(path)):
            points = {(event.step, value.tag) for value in event.summary.value}
            if number == 0 or (_is_kept(event, epoch, step) and not points & seen):
                writer.write(event.SerializeToString())
                seen |= points
        writer.flush()
    for path in files[1:]:
        path.unlink()


def _events(path: Path) -> Iterator[Event]:
    return (Event.FromString(record) for record in RawEventFileLoader(str(path)).Load())


def _is_kept(event: Event, epoch: int, step: int) -> bool:
    """Whether it is a point of a curve, not too late; hyperparameters, which come at the end, stand at 0."""
    tags = [value.tag for value in event.summary.value]
    return bool(tags) and 0 < event.step <= (epoch if all(map(_counts_epochs, tags)) else step)


def _counts_epochs(curve: str) -> bool:
    """Whether a curve is one of ours by the epoch; those of a user's callbacks count steps."""
    return curve == "lr" or (curve.startswith(("train/", "val/")) and curve != STEP_LOSS)


def _cut_rows(logger: CSVLogger, epoch: int, step: int) -> None:
    """Logs again what is kept, since Lightning begins the file anew; the old one lies aside till then."""
    path = Path(logger.log_dir) / "metrics.csv"
    aside = Path(logger.save_dir) / f".{path.parent.name}-{path.name}"
    if path.is_file() and not aside.is_file():
        path.replace(aside)
    if not aside.is_file():
        return
    for each in (path, path.with_name("hparams.yaml")):  # which come again
        each.unlink(missing_ok=True)
    with aside.open(newline="", encoding="utf-8", errors="replace") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        with suppress(ValueError, TypeError):  # of a row that was damaged
            number = int(row.pop("step", None) or 0)
            point: dict[str, Tensor | float] = {name: float(value) for name, value in row.items() if value}
            if 0 < number <= (epoch if all(map(_counts_epochs, point)) else step):
                logger.log_metrics(point, number)
    logger.save()
    aside.unlink()
