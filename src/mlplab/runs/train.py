"""Trains runs: opens their folders, fits a stack, and calibrates, tests and finalizes the runs that end."""

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rich.console import Console

from mlplab.cpu_settings import cpu_settings_for_training
from mlplab.data.cache import DataCache
from mlplab.errors import CannotWrite, Fault, FolderInUse, Interrupted, RunFailed, is_disk_error
from mlplab.files import write_json
from mlplab.runs.folder import Metrics, RunFolder
from mlplab.runs.resume import has_ended
from mlplab.runs.run import Run
from mlplab.runs.stack.checkpoints import resume_groups
from mlplab.runs.stack.finalize import finalize_ended, finalize_failed
from mlplab.runs.stack.messages import header_lines, row_warnings
from mlplab.training.stack.stack_trainer import StackTrainer
from mlplab.runs.warm_start import inherited_rows, save_inherited_rows
from mlplab.signals import handle_signals
from mlplab.training.callbacks.stop_on_signal import StopOnSignal
from mlplab.runs.loggers.files import build_loggers, quiet_writer_threads, truncate_curves
from mlplab.runs.loggers.progress import TrainingProgress
from mlplab.runs.loggers.tensorboard import hyperparameters, log_start
from mlplab.runs.loggers.trackers import log_configuration, trackers, urls
from mlplab.training.state import StackState
from mlplab.training.trainer import device_name, lightning_quiet

log = logging.getLogger(__name__)

FIGURE = re.compile(r"""('.*?'|".*?")|\b\d+%|\b0\.\d+""")
"""What differs between warnings about the same thing, or a name in quotes, in a group."""


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
        stack_file: the checkpoint of a sweep's stack, from which its runs resume. Runs that train together
            save their training state there, others in their own folders. The caller removes it.

    Returns:
        The content of each run's metrics.json.

    Raises:
        UserError: if a folder is in use, or the runs cannot be built.
        Interrupted: after SIGINT or SIGTERM, with the training state saved.
        CannotWrite: if the disk is full.
    """
    metrics: dict[Path, Metrics] = {}
    with ExitStack() as locks:
        for run in runs:
            _open(run, cache, console, alone=title is None)
            if run.resume:
                locks.enter_context(_locked_to_resume(run))
        groups = resume_groups(runs, stack_file)
        for group, state in groups:
            if title is None and group[0].resume and not state:
                log.info("%s: no saved training state: starting from the beginning", group[0].folder.name)
            # None of several groups replaces what another has saved in the file.
            together = len(runs) > 1 and len(groups) == 1
            metrics |= _train_stack(group, console, title or "", state, stack_file if together else None)
    return [metrics[run.folder] for run in runs]


def _open(run: Run, cache: DataCache, console: Console, *, alone: bool) -> None:
    """Reads a run's data, and builds its loggers.

    A single run logs to the terminal (progress only if there is no bar), one of a sweep to its own log.
    """
    run.data, run.files = cache.data(run.config), RunFolder(run.folder)
    run.loggers = build_loggers(run.config, run.folder)
    run.alone, run.log = alone, log.info if alone else run.files.log_line
    run.log_progress = run.log if not (alone and console.is_terminal) else log.debug


@contextmanager
def _locked_to_resume(run: Run) -> Iterator[None]:
    """Locks the folder of a run that is to be resumed.

    Raises:
        FolderInUse: if another process uses it, or has ended the run.
    """
    with run.files.lock.held():
        if has_ended(run.folder, run.config, alone=not run.bracket):
            what, remedy = "was changed by another process", "run the command again"
            raise FolderInUse(Fault(what, str(run.folder), remedy=remedy))
        yield


def _train_stack(
    runs: Sequence[Run], console: Console, title: str, state: StackState | None, stack_file: Path | None
) -> dict[Path, Metrics]:
    """Trains runs at the same step; returns their metrics by folder."""
    progress, signals = TrainingProgress(console, title), StopOnSignal()
    metrics: dict[Path, Metrics] = {}
    with ExitStack() as contexts:
        contexts.enter_context(lightning_quiet())
        trainer = StackTrainer(runs, [progress, signals], state, stack_file)
        contexts.enter_context(cpu_settings_for_training(runs[0].config.threads))
        contexts.enter_context(quiet_writer_threads())
        # Until now, a signal ends the process at once.
        contexts.enter_context(handle_signals(signals.handler))
        for run in runs:
            run.inherited = inherited_rows(run, resumed=state is not None)
        warnings = [row_warnings(run, resumed=state is not None) for run in runs]
        _create_or_reopen(runs, state)
        _warn(runs[0].data.table.warned, [warning for run_warnings in warnings for warning in run_warnings])
        for run in runs:
            contexts.callback(run.files.lock.release)
        try:
            for run in runs:
                contexts.enter_context(run.files.log())
            _log_start(trainer, warnings, state)
            with progress.shown():
                while True:
                    trainer.fit()
                    interrupted = signals.received is not None
                    ended = trainer.ended_runs(interrupted=interrupted)
                    is_last = interrupted or len(ended) == len(trainer.runs)
                    following = trainer if is_last else trainer.without_stopped_runs()
                    any_pruned = any(status == "pruned" for status, _ in ended.values())
                    if len(runs) > 1 and (interrupted or any_pruned):
                        trainer.save()  # what was decided together must not change
                    finalize_ended(trainer, ended, progress, metrics)
                    if signals.received:
                        step = f"after step {trainer.trainer.global_step}; everything is saved"
                        raise Interrupted(f"stopped by {signals.received.name} {step}", signals.received)
                    if is_last:
                        return metrics
                    trainer = following
        except BaseException as error:
            finalize_failed(trainer, error, metrics)
            if is_disk_error(error):
                raise CannotWrite(error) from error
            if isinstance(error, SystemExit):
                raise RunFailed(f"a custom class called exit({error.code})") from error
            raise


def _create_or_reopen(runs: Sequence[Run], state: StackState | None) -> None:
    """Creates or reopens the folders of all runs, or of none."""
    with ExitStack() as created:
        for run in runs:
            if run.resume:
                run.overrides = list(dict.fromkeys([*run.files.overrides(), *run.overrides]))
                run.files.reopen(run.config.plain(), restart=state is None)
                truncate_curves(run.loggers, state.epoch if state else 0, state.step if state else 0)
            else:
                run.files.create(run.config.plain())
                created.callback(run.files.discard)
            if not state:
                save_inherited_rows(run)
        for run in runs:
            if tracked := trackers(run.loggers):
                log_configuration(tracked, run.folder, hyperparameters(run.config))
        created.pop_all()


def _warn(shown: set[str], warnings: Sequence[str]) -> None:
    """Shows warnings on the terminal, each once for a table, though figures differ between folds; the runs'
    logs are not open yet."""
    for warning in warnings:
        if (what := FIGURE.sub(r"\1", warning)) not in shown:
            shown.add(what)
            log.warning("%s", warning)


def _log_start(trainer: StackTrainer, warnings: Sequence[Sequence[str]], state: StackState | None) -> None:
    """Writes what is known before training to the folders and the loggers."""
    device = device_name(trainer.trainer)
    for run, run_warnings in zip(trainer.runs, warnings, strict=True):
        run.files.write_environment(device, run.overrides)
        write_json(run.folder / "schema.json", run.data.table.schema.plain(), synced=False)  # for people
        for line in header_lines(run, trainer.stack, device, state):
            run.log(line)
        for warning in run_warnings:
            run.files.log_line(f"warning: {warning}")
        log_start(run.loggers, run.config, run.overrides)
        for url in urls(run.loggers):
            run.log(url)
