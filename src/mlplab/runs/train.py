"""Trains runs as one stack: from configurations to run folders with tested networks."""

import logging
import traceback
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

from rich.console import Console

from mlplab.config import chosen
from mlplab.config.metrics import metrics_of
from mlplab.console import print_line, progress_lines
from mlplab.data.cache import RunData
from mlplab.errors import (
    CannotWrite,
    Interrupted,
    RunFailed,
    UserError,
    is_disk_error,
    reason_of,
)
from mlplab.runs.build import lightning_quiet
from mlplab.runs.end_warnings import end_warnings
from mlplab.runs.finalize import finalize
from mlplab.runs.folder import Metrics, RunFolder, Status
from mlplab.runs.headers import row_warnings, write_headers
from mlplab.runs.resume_state import StackCheckpoint
from mlplab.runs.run import Run
from mlplab.runs.stack_trainer import StackTrainer, TrainingRun
from mlplab.runs.texts import starting_texts
from mlplab.training.callbacks import StopOnSignal
from mlplab.training.cpu_settings import cpu_settings_for_training
from mlplab.training.loggers.files import build_loggers, quiet_writer_threads, truncate_curves
from mlplab.training.loggers.hyperparameters import hyperparameters
from mlplab.training.loggers.tensorboard import log_start
from mlplab.training.progress import ProgressBar, ProgressLines
from mlplab.training.state import StackState

log = logging.getLogger(__name__)


def train_runs(
    runs: Sequence[Run],
    data: Sequence[RunData],
    console: Console,
    *,
    title: str | None = None,
    state: StackState | None = None,
    stack_checkpoint: StackCheckpoint | None = None,
) -> list[Metrics]:
    """Trains runs that share a table and a network shape, tests their best weights, and fills their folders.

    A run whose loss becomes non-finite ends with the status `diverged`, and one that is not among the best at
    a rung of its bracket with the status `pruned`; the others continue.

    Args:
        data: the data of each run.
        console: where a progress bar is shown; if it is no terminal, lines are printed instead.
        title: the title of the progress bar of a sweep's stack, whose runs write only to their own logs.
            None: the run is alone, and logs to the terminal.
        state: the training state to resume from.
        stack_checkpoint: the file for the training state of a sweep's stack.

    Returns:
        The content of each run's metrics.json.

    Raises:
        UserError: if a folder is in use, or the runs cannot be built.
        Interrupted: after SIGINT or SIGTERM, with the training state saved.
        CannotWrite: if the disk is full.
    """
    bars = [ProgressBar(console, title or "")] if console.is_terminal else []
    lines = [] if bars else [ProgressLines(partial(print_line, console), title or "")]
    in_training = [
        _training_run(run, each, alone=title is None, to_terminal=not bars)
        for run, each in zip(runs, data, strict=True)
    ]
    with ExitStack() as contexts:
        contexts.enter_context(lightning_quiet())
        signals = StopOnSignal()
        trainer = StackTrainer(in_training, [*bars, *lines, signals], state, stack_checkpoint)
        contexts.enter_context(cpu_settings_for_training(runs[0].config.threads))
        contexts.enter_context(quiet_writer_threads())
        contexts.enter_context(signals)  # until now, a signal ends the process at once
        training = _Training(trainer, signals, console, title or "")
        warnings = [row_warnings(run, resumed=state is not None) for run in in_training]
        _open_folders(runs, in_training, state)
        warned = data[0].table.warned
        for warning in dict.fromkeys(each for own in warnings for each in own if each not in warned):
            log.warning("%s", warning)  # to the terminal; the runs' logs are not open yet
            warned.add(warning)
        for each in in_training:
            contexts.callback(each.folder.unlock)
            contexts.enter_context(each.folder.log())
        try:
            write_headers(training.trainer, warnings, state)
            for each in in_training:
                texts = starting_texts(each.config, each.data.table.schema)
                log_start(each.loggers, hyperparameters(each.config), each.config.monitor, texts)
            with ExitStack() as shown:
                for bar in bars:
                    shown.callback(bar.progress.stop)
                training.run()
        except BaseException as error:
            training.fail(error)
            if is_disk_error(error):
                raise CannotWrite(error) from error
            if isinstance(error, SystemExit):
                raise RunFailed(f"a custom class called exit({error.code})") from error
            raise
        if stack_checkpoint:
            stack_checkpoint.remove()
        return [training.metrics[run.folder] for run in runs]


class _Training:
    """Trains a stack until all of its runs have ended.

    Attributes:
        trainer: the trainer of the runs that are left.
        metrics: the content of metrics.json for the runs that have ended, by folder.
    """

    def __init__(self, trainer: StackTrainer, signals: StopOnSignal, console: Console, title: str) -> None:
        self.trainer, self.signals, self.console, self.title = trainer, signals, console, title
        self.metrics: dict[Path, Metrics] = {}

    def run(self) -> None:
        """Trains, tests and finalizes all runs; smaller stacks continue with those that are left."""
        trainer: StackTrainer | None = self.trainer
        while trainer:
            self.trainer = trainer
            trainer = self._fit_and_finalize()

    def _fit_and_finalize(self) -> StackTrainer | None:
        """Finalizes the runs that end first; returns the trainer of the others."""
        trainer = self.trainer
        trainer.fit()
        received = self.signals.received
        ended = trainer.ended_runs(interrupted=received is not None)
        left = len(ended) < len(trainer.runs) and not received
        following = trainer.without_stopped_runs() if left else None
        statuses = {index: trainer.status(index) for index in ended}
        is_pruned = any(status == "pruned" for status, _ in statuses.values())
        if trainer.stack_checkpoint and (received or is_pruned):  # what was decided together must not change
            trainer.save()
        trained = [index for index, (status, _) in statuses.items() if status == "done"]
        tested, finished = any(trainer.runs[index].config.test for index in trained), len(self.metrics)

        def progress() -> str:
            done = f" of {len(self.metrics) - finished} of {len(ended)} runs" if len(ended) > 1 else ""
            return f"{self.title}{'test scores and baselines' if tested else 'last checkpoints'}{done}"

        with progress_lines(partial(print_line, self.console), progress):
            if trained:
                trainer.calibrate(trained)
            if tested:
                trainer.test()
            for index, (status, reason) in statuses.items():
                self._finalize(index, status, reason)
        if received:
            step = trainer.trainer.global_step
            raise Interrupted(f"stopped by {received.name} after step {step}", received)
        return following

    def _finalize(self, index: int, status: Status, reason: str | None = None) -> None:
        run = self.trainer.runs[index]
        metrics = finalize(self.trainer, index, status, reason)
        self.metrics[run.folder.path] = metrics
        if status == "done":
            best, epochs, seconds = (metrics[name] for name in ("best_epoch", "epochs", "seconds"))
            of_members = " (mean of the networks)" * (chosen(run.config.ensemble) > 1)
            run.log(f"{run.folder.path.name}: best epoch {best} of {epochs}{of_members}; {seconds:.1f} s")
            for warning in end_warnings(self.trainer, index, metrics):
                run.log(f"warning: {warning}")
            names, part = metrics_of(run.data.table.schema.classes), "test" if run.config.test else "val"
            scores = ", ".join(f"{name} {metrics[f'{part}/{name}']}" for name in names)
            run.folder.log_line(f"{part} {scores}")
        else:
            run.log(str(reason) if status == "pruned" else f"{status}: {reason}")

    def fail(self, error: BaseException) -> None:
        """Finalizes the runs that are left, with the error as the reason."""
        status: Status = "interrupted" if isinstance(error, Interrupted) else "failed"
        if not (isinstance(error, UserError | RunFailed) or is_disk_error(error)):
            for run in self.trainer.runs:
                run.folder.log_line(traceback.format_exc())
        for index, run in enumerate(self.trainer.runs):
            if run.folder.path not in self.metrics:
                with suppress(OSError):  # which may be the error itself
                    self._finalize(index, status, reason_of(error))


def _training_run(run: Run, data: RunData, *, alone: bool, to_terminal: bool) -> TrainingRun:
    """A single run logs to the terminal (progress only if there is no bar), one of a sweep to its own log."""
    folder = RunFolder(run.folder)
    progress = partial(log.log, logging.INFO if to_terminal else logging.DEBUG) if alone else folder.log_line
    lines = log.info if alone else folder.log_line
    loggers = build_loggers(run.config, str(run.folder))
    return TrainingRun(run.config, data, folder, loggers, lines, progress, run.bracket)


def _open_folders(runs: Sequence[Run], training: Sequence[TrainingRun], state: StackState | None) -> None:
    """Creates or reopens the folders of all runs, or of none."""
    for index, (run, each) in enumerate(zip(runs, training, strict=True)):
        try:
            if not run.stamp:
                each.folder.create(each.config.plain())
                continue
            each.folder.reopen(each.config.plain(), run.stamp, restart=state is None)
            truncate_curves(each.loggers, state.epoch if state else 0, state.step if state else 0)
        except BaseException:
            if run.stamp:
                each.folder.unlock()
            for opened, other in zip(runs[:index], training[:index], strict=True):
                if opened.stamp:
                    other.folder.unlock()
                else:
                    other.folder.discard()
            raise
