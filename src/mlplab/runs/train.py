"""Trains runs: into their folders, or with observers of others."""

import logging
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from rich.console import Console

from mlplab.data.cache import DataCache
from mlplab.errors import Fault, FolderInUse, Interrupted, cannot_write, is_disk_error, refusal
from mlplab.runs.check_buildable import check_buildable
from mlplab.runs.film.frames import FilmFrames
from mlplab.runs.folder import RunFolder
from mlplab.runs.loggers.files import quiet_writer_threads
from mlplab.runs.observers.curves import Curves
from mlplab.runs.observers.messages import Messages
from mlplab.runs.observers.open_run import OpenRun, RunFolders
from mlplab.runs.observers.progress import TrainingProgress
from mlplab.runs.observers.training_states import Checkpoints, resume_groups
from mlplab.runs.observers.watched_run import Endings
from mlplab.runs.planned_run import PlannedRun
from mlplab.runs.resume import has_ended
from mlplab.runs.warm_start import warm_starts
from mlplab.training.fit import Observer, fit
from mlplab.training.outcome import Metrics
from mlplab.training.state import StackState, WrongStateError

log = logging.getLogger(__name__)


def train_runs(
    runs: Sequence[PlannedRun],
    cache: DataCache,
    console: Console,
    *,
    title: str | None = None,
    stack_file: Path | None = None,
) -> list[Metrics]:
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
    metrics: dict[Path, Metrics] = {}
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
            opened = [OpenRun(*start, files[start[0].folder], alone=title is None) for start in starts]
            # None of several groups replaces what another has saved in the file.
            together = len(runs) > 1 and len(groups) == 1
            _train_in_folders(opened, console, title or "", state, stack_file if together else None)
            metrics |= {run.plan.folder: run.metrics for run in opened if run.metrics}
    return [metrics[run.folder] for run in runs]


def _train_in_folders(
    runs: Sequence[OpenRun], console: Console, title: str, state: StackState | None, stack_file: Path | None
) -> None:
    """Trains runs at the same step."""
    try:
        # The last, so that nothing is lost of the steps that are saved.
        with quiet_writer_threads():
            train_watched(RunFolders(runs, state), console, title, Checkpoints(runs, stack_file))
    except WrongStateError as error:
        where = stack_file or runs[0].files.last
        raise refusal("contains the state of a different network", where, "start a new run") from error
    except Interrupted as error:
        raise Interrupted(f"{error}; everything is saved", error.number) from error
    except BaseException as error:
        if is_disk_error(error):
            raise cannot_write(error) from error
        raise


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
        observers.append(Curves(runs, config.trainer.log_every_n_steps or 0))
    if console:
        level = logging.DEBUG if console.is_terminal else logging.INFO
        observers.append(Messages(runs, endings.resumed, level))
    with closing(progress), closing(endings):
        fit([run.run for run in runs], [*observers, *last], endings.resumed)
