"""Trains runs: into their folders, or with observers of others; scores the test rows of finished ones."""

import logging
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from rich.console import Console

from mlplab.config import ResolvedConfig
from mlplab.cpu_settings import cpu_settings_for_training
from mlplab.data.cache import DataCache, RunData
from mlplab.errors import (
    Fault,
    FolderInUse,
    Interrupted,
    UserError,
    cannot_write,
    is_disk_error,
    reason_of,
    refusal,
)
from mlplab.files import Plain
from mlplab.runs.baselines.fit_baselines import baseline_metrics
from mlplab.runs.discovery import finished_run
from mlplab.runs.film.recorder import FilmFrames, check_filmable
from mlplab.runs.folder import RunFolder
from mlplab.runs.observers.checkpoints import Checkpoints
from mlplab.runs.observers.loggers import Curves, build_loggers, quiet_writer_threads
from mlplab.runs.observers.messages import Messages
from mlplab.runs.observers.open_run import Endings, OpenRun, RunFolders
from mlplab.runs.observers.progress import TrainingProgress
from mlplab.runs.planned_run import PlannedRun, has_ended
from mlplab.runs.predictions import write_test_predictions
from mlplab.runs.read_folder import has_test_scores, read_metrics
from mlplab.runs.resume import REMEDY, resume_groups
from mlplab.runs.trained.trained_run import TrainedRun
from mlplab.runs.warm_start import initial_weights, source, warm_starts
from mlplab.training.fit import Observer, fit
from mlplab.training.run import Run, activations, member_configs
from mlplab.training.scoring.losses import build_loss
from mlplab.training.stack.build import build_datamodule, build_stack_network, check_equal_rows, start_from
from mlplab.training.stack.calibrate_and_test import Calibration, score_test_rows
from mlplab.training.stack_state import WrongStateError
from mlplab.training.trainer import build_custom_callbacks, choose_accelerator

log = logging.getLogger(__name__)


def train_runs(
    runs: Sequence[PlannedRun],
    cache: DataCache,
    console: Console,
    *,
    title: str | None = None,
    stack_file: Path | None = None,
) -> list[Plain]:
    """Trains runs that share a table and a network shape, tests their best weights, and fills their folders.

    Runs that resume after different steps train one after another.

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
    metrics: dict[Path, Plain] = {}
    files = {run.folder: RunFolder(run.folder) for run in runs}
    with ExitStack() as locks:
        for run in runs:
            if run.resume:
                locks.enter_context(files[run.folder].lock)
                if has_ended(run.folder, run.config, alone=not run.bracket):
                    what, remedy = "was changed by another process", "run the command again"
                    raise FolderInUse(Fault(what, str(run.folder), remedy=remedy))
        groups = resume_groups(runs, cache, stack_file)
        for group, state in groups:
            if title is None and group[0].resume and not state:
                log.info("%s: no saved training state: starting from the beginning", group[0].folder.name)
            starts = warm_starts(group, cache, resumed=state is not None)
            opened = [OpenRun(start, files[start.plan.folder], alone=title is None) for start in starts]
            # None of several groups replaces what another has saved in the file.
            together = len(runs) > 1 and len(groups) == 1
            file = stack_file if together else None
            try:
                # The last, so that nothing is lost of the steps that are saved.
                with quiet_writer_threads():
                    train_watched(RunFolders(opened, state), console, title or "", Checkpoints(opened, file))
            except WrongStateError as error:
                what, where = "contains the state of a different network", file or opened[0].files.last
                raise refusal(what, where, "start a new run") from error
            except Interrupted as error:
                raise Interrupted(f"{error}; everything is saved", error.number) from error
            except BaseException as error:
                if is_disk_error(error):
                    raise cannot_write(error) from error
                raise
            metrics |= {run.plan.folder: run.metrics for run in opened if run.metrics}
    return [metrics[run.folder] for run in runs]


def train_watched(endings: Endings, console: Console | None, title: str = "", *last: Observer) -> None:
    """Trains runs with the observers that a run has in a folder and in memory.

    Args:
        endings: has the runs, and gets what they come to.
        console: where progress is shown; None: nothing is shown or logged.
        last: further observers.
    """
    runs, progress = endings.runs, TrainingProgress(console or Console(quiet=True), title)
    config = runs[0].run.config
    observers: list[Observer] = [progress, endings]
    if config.callbacks.film:
        check_buildable(config, runs[0].run.data)  # before a folder is created
        observers.append(FilmFrames(runs))
    if any(run.loggers for run in runs):
        loggers = {run.run: run.loggers for run in runs}
        observers.append(Curves(loggers, config.trainer.log_every_n_steps or 0))
    if console:
        level = logging.DEBUG if console.is_terminal else logging.INFO
        observers.append(Messages(runs, endings.resumed, level))
    with closing(progress), closing(endings):
        fit([run.run for run in runs], [*observers, *last], endings.resumed)


def check_buildable(run: ResolvedConfig, data: RunData) -> None:
    """Checks that everything a run needs can be built, without its statistics and initial weights.

    Raises:
        UserError: if the device does not exist, a custom class cannot be imported or instantiated, or the run
            cannot start from `init_from`.
    """
    choose_accelerator(run.trainer)
    check_equal_rows(run, [member.split for member in data.members])
    try:
        members, names = member_configs(run), activations(run)
        numbers = [names.index(name) for name in dict.fromkeys(names)] or [0]  # of different networks
        different = [members[number] for number in numbers]
        network = build_stack_network(different, [data] * len(different), initialize=False)
        check_filmable(run, network)
        if run.init_from:
            schema = data.table.schema
            initial = initial_weights(run, source(run, schema))
            places = {member: initial.places[number] for member, number in enumerate(numbers)}
            start_from(network, initial, places, schema)
        build_custom_callbacks(run)
        build_loggers(run, Path())
    except UserError:
        raise
    except Exception as error:  # from a custom class
        raise refusal(f"cannot be built: {reason_of(error)}", "the run") from error


def score_finished_run(folder: Path, cache: DataCache) -> Plain:
    """Writes what a finished run would have written with `test=true`; returns the content of metrics.json.

    These are its test scores, to the last bit if it was trained on a CPU, those of its baselines, and
    test_predictions.csv. A run that has test scores, or no test rows, is left as it is.

    Raises:
        UserError: if the run has not finished, if its table is not available or has changed, or if another
            process uses its folder.
    """
    metrics = read_metrics(finished_run(folder, "run"))
    if has_test_scores(metrics):
        return metrics
    trained, files = TrainedRun.read(folder), RunFolder(folder)
    data, configs = cache.data(trained.config, trained.schema), member_configs(trained.config)
    data.check_unchanged(trained.table, REMEDY, order=False)
    if not len(data.split.test):
        log.warning("%s has no test rows, so there are no test scores", folder.name)
        return metrics
    run, weights = Run(trained.config, data), dict(enumerate(trained.weights.values()))
    chosen = Calibration(weights, trained.threshold, trained.residuals)
    with files.lock, cpu_settings_for_training(run.config.threads):
        networks = [configs[number] for number in trained.weights]
        splits = [data.members[number].split for number in trained.weights]
        datamodule = build_datamodule(networks, data.table, splits)
        loss = build_loss([config.loss for config in networks])
        [(found, predicted)] = score_test_rows(trained.network, loss, datamodule, [(run, chosen)])
        metrics |= found | baseline_metrics(run)
        write_test_predictions(files.path, run, predicted, trained.threshold)
        seconds = {"seconds": metrics.pop("seconds")}  # the last, as in other runs
        return files.write_metrics(metrics | seconds)
