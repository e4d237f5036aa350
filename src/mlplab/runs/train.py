"""Trains runs as one stack: from configurations to run folders with tested networks."""

import logging
import traceback
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

from rich.console import Console

from mlplab.config import TrainConfig, chosen
from mlplab.config.metrics import metrics_of
from mlplab.console import print_line, progress_lines
from mlplab.data.cache import DataCache
from mlplab.errors import (
    CannotWrite,
    Fault,
    FolderInUse,
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
from mlplab.runs.resume import has_ended
from mlplab.runs.resume_state import resume_groups
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
    cache: DataCache,
    console: Console,
    *,
    title: str | None = None,
    stack_file: Path | None = None,
) -> list[Metrics]:
    """Trains runs that share a table and a network shape, tests their best weights, and fills their folders.

    A run whose loss becomes non-finite ends with the status `diverged`, and one that is not among the best at
    a rung of its bracket with the status `pruned`; the others continue. Runs that resume after different
    steps train one after another.

    Args:
        cache: the tables and splits of the runs.
        console: where a progress bar is shown; if it is no terminal, lines are printed instead.
        title: the title of the progress bar of a sweep's stack, whose runs write only to their own logs.
            None: the run is alone, and logs to the terminal.
        stack_file: the checkpoint of a sweep's stack, from which its runs resume. Several runs save their
            training state there, a single one in its own folder. The caller removes it.

    Returns:
        The content of each run's metrics.json.

    Raises:
        UserError: if a folder is in use, or the runs cannot be built.
        Interrupted: after SIGINT or SIGTERM, with the training state saved.
        CannotWrite: if the disk is full.
    """
    metrics: dict[Path, Metrics] = {}
    with ExitStack() as contexts:
        in_training = [_training_run(run, cache, console, alone=title is None) for run in runs]
        for each in in_training:
            if each.run.resume:
                contexts.enter_context(lock_to_resume(each.folder, each.config))
        for group, state in resume_groups(in_training, stack_file):
            if title is None and group[0].run.resume and not state:
                log.info("%s: no saved training state: starting from the beginning", runs[0].folder.name)
            file = stack_file if len(runs) > 1 else None
            metrics |= _train_together(group, console, title, state, file)
    return [metrics[run.folder] for run in runs]


def _train_together(
    runs: Sequence[TrainingRun],
    console: Console,
    title: str | None,
    state: StackState | None,
    stack_file: Path | None,
) -> dict[Path, Metrics]:
    """Trains runs at the same step; returns their metrics by folder."""
    bars = [ProgressBar(console, title or "")] if console.is_terminal else []
    lines = [] if bars else [ProgressLines(partial(print_line, console), title or "")]
    with ExitStack() as contexts:
        contexts.enter_context(lightning_quiet())
        signals = StopOnSignal()
        trainer = StackTrainer(runs, [*bars, *lines, signals], state, stack_file)
        contexts.enter_context(cpu_settings_for_training(runs[0].config.threads))
        contexts.enter_context(quiet_writer_threads())
        contexts.enter_context(signals)  # until now, a signal ends the process at once
        training = _Training(trainer, signals, console, title or "")
        warnings = [row_warnings(run, resumed=state is not None) for run in runs]
        _open_folders(runs, state)
        warned = runs[0].data.hashed.warned
        for warning in dict.fromkeys(each for own in warnings for each in own if each not in warned):
            log.warning("%s", warning)  # to the terminal; the runs' logs are not open yet
            warned.add(warning)
        for each in runs:
            contexts.callback(each.folder.unlock)
            contexts.enter_context(each.folder.log())
        try:
            write_headers(training.trainer, warnings, state)
            for each in runs:
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
        return training.metrics


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
        if trainer.stack_file and (received or is_pruned):  # what was decided together must not change
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


def _training_run(run: Run, cache: DataCache, console: Console, *, alone: bool) -> TrainingRun:
    """A single run logs to the terminal (progress only if there is no bar), one of a sweep to its own log."""
    folder = RunFolder(run.folder)
    level = logging.DEBUG if console.is_terminal else logging.INFO
    progress = partial(log.log, level) if alone else folder.log_line
    lines = log.info if alone else folder.log_line
    loggers = build_loggers(run.config, str(run.folder))
    return TrainingRun(run, cache.data(run.config), folder, loggers, lines, progress)


@contextmanager
def lock_to_resume(folder: RunFolder, run: TrainConfig) -> Iterator[None]:
    """Locks the folder of a run that is to be resumed.

    Raises:
        FolderInUse: if another process uses it, or has ended the run.
    """
    folder.lock()
    try:
        if has_ended(folder.path, run):
            what, remedy = "was changed by another process", "run the command again"
            raise FolderInUse(Fault(what, str(folder.path), remedy=remedy))
        yield
    finally:
        folder.unlock()


def _open_folders(runs: Sequence[TrainingRun], state: StackState | None) -> None:
    """Creates or reopens the folders of all runs, or of none."""
    with ExitStack() as created:
        for each in runs:
            if each.run.resume:
                each.folder.reopen(each.config.plain(), restart=state is None)
                truncate_curves(each.loggers, state.epoch if state else 0, state.step if state else 0)
            else:
                each.folder.create(each.config.plain())
                created.callback(each.folder.discard)
        created.pop_all()
