"""Loggers: curves during training, truncated when a run is resumed; hyperparameters (HParams) at its end."""

import csv
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.summary.writer.record_writer import RecordWriter

from mlplab import config
from mlplab.config.allowed_classes import instantiate
from mlplab.errors import is_disk_error
from mlplab.files import replacing
from mlplab.training.callbacks import StackCallback
from mlplab.training.module import StackModule

STEP_LOSS = "train/loss_step"
"""The only curve with one point per step instead of per epoch."""


HPARAM_METRICS = {
    "val/loss": "best/val/loss",
    "val/rmse": "best/val/rmse",
    "val/log_loss": "best/val/log_loss",
    "test/rmse": "test/rmse",
    "test/mae": "test/mae",
    "test/r2": "test/r2",
    "test/log_loss": "test/log_loss",
    "test/accuracy": "test/accuracy",
    "test/auroc": "test/auroc",
}
"""Metrics of the HParams tab by their names in metrics.json. If a name were that of a curve, TensorBoard
would show the curve's last point instead of the best one."""


def build_loggers(run: config.TrainConfig, folder: str) -> list[Logger]:
    """The loggers of a run, with its folder as their `save_dir`."""
    return [
        instantiate(each.class_path, Logger, save_dir=folder, **each.arguments)  # type: ignore[type-abstract]
        for each in run.logger.values()
    ]


class EpochCurves(StackCallback):
    """Logs each run's values to its own loggers after each epoch, counted from 1.

    Those of an ensemble are the means of its members.
    """

    def __init__(self, loggers: Sequence[Sequence[Logger]]) -> None:
        self.loggers = loggers

    def on_epoch(self, trainer: Trainer, module: StackModule) -> None:
        """Logs one point of every curve."""
        values = {name: module.by_run(value).tolist() for name, value in module.values.items()}
        active = module.active_runs().tolist()
        for run, loggers in enumerate(self.loggers):
            if active[run]:
                point = {name: value[run] for name, value in values.items()}
                _log(point, loggers, trainer.current_epoch + 1)


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
                    _log({STEP_LOSS: loss}, loggers, trainer.global_step)


def _log(point: Mapping[str, float], loggers: Sequence[Logger], step: int) -> None:
    for logger in loggers:
        logger.log_metrics(dict(point), step)


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


def flush_loggers(loggers: Sequence[Logger]) -> None:
    """Writes what has been logged to disk, so that it is not lost if the process is killed."""
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.experiment.flush()
        else:
            logger.save()


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
    seen: set[tuple[int, str]] = set()
    with replacing(files[0]) as partial, partial.open("wb") as file:
        writer = RecordWriter(file)
        for number, event in enumerate(each for path in files for each in _events(path)):
            points = {(event.step, value.tag) for value in event.summary.value}
            if number == 0 or (_remains(event, epoch, step) and not points & seen):
                writer.write(event.SerializeToString())
                seen |= points
        writer.flush()
    for path in files[1:]:
        path.unlink()


def _events(path: Path) -> Iterator[Event]:
    return (Event.FromString(record) for record in RawEventFileLoader(str(path)).Load())


def _remains(event: Event, epoch: int, step: int) -> bool:
    """Whether an event is a point up to that epoch or step; hyperparameters, written last, are at step 0."""
    tags = [value.tag for value in event.summary.value]
    return bool(tags) and 0 < event.step <= (epoch if all(map(_is_by_epoch, tags)) else step)


def _is_by_epoch(curve: str) -> bool:
    """Whether a curve is one of ours by epoch; curves of custom callbacks are by step."""
    return curve == "lr" or (curve.startswith(("train/", "val/")) and curve != STEP_LOSS)


def _truncate_rows(logger: CSVLogger, epoch: int, step: int) -> None:
    """Logs the remaining rows again, because Lightning starts a new file; until then, moves the old one."""
    path = Path(logger.log_dir) / "metrics.csv"
    aside = Path(logger.save_dir) / f".{path.parent.name}-{path.name}"
    if path.is_file() and not aside.is_file():
        path.replace(aside)
    if not aside.is_file():
        return
    for each in (path, path.with_name("hparams.yaml")):  # both are written again
        each.unlink(missing_ok=True)
    with aside.open(newline="", encoding="utf-8", errors="replace") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        with suppress(ValueError, TypeError):  # from a damaged row
            number = int(row.pop("step", None) or 0)
            point = {name: float(value) for name, value in row.items() if value}
            if 0 < number <= (epoch if all(map(_is_by_epoch, point)) else step):
                _log(point, [logger], number)
    logger.save()
    aside.unlink()


def close_loggers(
    loggers: Sequence[Logger], run: config.TrainConfig, metrics: Mapping[str, Any], *, success: bool
) -> None:
    """Writes hyperparameters (for TensorBoard with the metrics of the HParams tab), and closes loggers."""
    scores = {tag: metrics[name] for name, tag in HPARAM_METRICS.items() if metrics.get(name) is not None}
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.log_hyperparams(hyperparameters(run), scores)
        else:
            logger.log_hyperparams(hyperparameters(run))
        logger.finalize("success" if success else "failed")


def hyperparameters(run: config.TrainConfig) -> dict[str, str | float | int | bool]:
    """The hyperparameters for loggers: few, flat, and with the same keys for every run."""
    model, optimizer, split = run.model, run.optimizer, run.data.split
    mlp = model if isinstance(model, config.Mlp) else None
    return {
        "seed": run.seed,
        "ensemble": config.chosen(run.ensemble),
        "data": run.data.name,
        "split_seed": 0 if isinstance(split, config.TimeSplit) else split.seed,
        "fold": split.fold if isinstance(split, config.KFoldSplit) else 0,
        "batch_size": config.chosen(run.data.batch_size) or 0,
        "model": model.class_path if isinstance(model, config.CustomModel) else model.name,
        "hidden": "-".join(map(str, config.chosen(mlp.hidden))) if mlp else "",
        "activation": mlp.activation if mlp else "",
        "dropout": config.chosen(mlp.dropout) if mlp else 0.0,
        "loss": run.loss.name,
        "optimizer": optimizer.name,
        "lr": config.chosen(optimizer.lr),
        "weight_decay": config.chosen(optimizer.weight_decay),
        "scheduler": run.scheduler.name,
        "max_epochs": config.chosen(run.trainer.max_epochs),
    }
