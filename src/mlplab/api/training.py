"""Training from Python, by the functions of the commands."""

import logging
import shutil
import signal
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from os import PathLike
from pathlib import Path
from threading import RLock
from typing import Any

import numpy as np
from rich.console import Console

from mlplab.api.finished_run import FinishedRun
from mlplab.api.finished_sweep import FinishedSweep
from mlplab.api.keywords import Table, Target, choices, read_arguments, setting
from mlplab.commands.train import draw_if_asked
from mlplab.commands.train import train as train_run
from mlplab.composition.compose import compose_run
from mlplab.composition.config_folders import config_folders
from mlplab.composition.resumed_run import resumed
from mlplab.config import FrameData
from mlplab.data.cache import DataCache
from mlplab.errors import Interrupted, RunFailed, reason_of, refusal
from mlplab.imports import frozen_objects, heavy_imports
from mlplab.runs.discovery import runs_below
from mlplab.runs.read_folder import read_metrics
from mlplab.runs.trained.run_files import RunFiles

LOCK = RLock()  # held while anything trains: torch's threads are those of the process

log = logging.getLogger(__name__)


@contextmanager
def process_as_before() -> Iterator[None]:
    """Restores torch's number of threads, which training sets.

    A signal that ended training is passed on to the user's handler, and raises a KeyboardInterrupt.
    """
    with LOCK, frozen_objects():
        with heavy_imports():
            import torch

        threads = torch.get_num_threads()
        try:
            yield
        except Interrupted as error:
            if signal.getsignal(error.number) not in (signal.SIG_DFL, signal.default_int_handler):
                signal.raise_signal(error.number)
            raise KeyboardInterrupt(reason_of(error)) from None  # which names a folder that may be removed
        finally:
            torch.set_num_threads(threads)


def train(
    table: Table = None,
    /,
    target: Target = None,
    *,
    folder: str | PathLike[str] | None = None,
    resume: str | PathLike[str] | None = None,
    overrides: Sequence[str] = (),
    progress: bool = True,
    **keys: object,
) -> FinishedRun:
    """Trains a network, or an ensemble if the table is small, as the command `train` does.

    Another call that trains at the same time waits.

    Args:
        table: rows to train, validate and test on: a polars, pandas or Arrow frame, a dict of columns, or the
            path of CSV or Parquet files. None: the table of the configuration, which ships with mlplab. The
            keyword `data={…}` is the section of that name.
        target: the column to predict, or a list of several; or its values, one for each row of a frame.
        folder: of the run, new or empty. None: the run is trained in memory, and nothing is written.
        resume: the folder of a run that was interrupted, or is to train for more epochs
            (`trainer={"max_epochs": 500}`). A run on a frame needs the same frame again.
        overrides: as on the command line: `["optimizer.lr=0.01", "model=linear"]`.
        progress: whether to show a progress bar.
        keys: all keys of the configuration, nested: `optimizer={"lr": 0.01}`, `model="linear"`,
            `data={"split": "group", "columns": {"zip": "categorical"}}`. Texts may contain any character.

    Raises:
        UserError: if an argument, the table or the folder cannot be used.
        RunFailed: if the loss becomes non-finite.
    """
    frame, given = read_arguments(table, target, keys, overrides)
    cache, console = DataCache(frame), Console(quiet=not progress)
    if resume and folder:
        raise refusal("is that of the resumed run", "folder", "leave it out")
    path = resume or folder
    if resume:
        given = [each for each in given if each.input_line not in ("data=frame", "data=csv")]
        run = resumed(Path(resume), given)
        if frame is not None and not isinstance(run.data, FrameData):
            raise refusal("was not trained on a frame", path, "leave out the frame")
    else:
        run = compose_run(given)
    with process_as_before():
        if not path:
            from mlplab.runs.in_memory import train_alone

            return FinishedRun(train_alone(run, cache, console), frame)
        metrics = train_run(run, Path(path), cache, console, resume=resume is not None)
        draw_if_asked(run, Path(path), metrics, cache)
    return FinishedRun(RunFiles(Path(path)), frame)


def sweep(
    table: Table = None,
    /,
    target: Target = None,
    *,
    grid: Mapping[str, Sequence[object]] | None = None,
    seeds: int | np.integer | Sequence[int] | None = None,
    folder: str | PathLike[str] | None = None,
    overrides: Sequence[str] = (),
    progress: bool = True,
    **keys: object,
) -> FinishedSweep:
    """Trains a run for each combination of values in lockstep, as the command `train -m` does.

    Args:
        table, target, overrides, progress, keys: as in `train`.
        grid: values by key, with dots: `{"optimizer.lr": [1e-3, 1e-2], "model": ["mlp", "linear"]}`.
        seeds: the number of seeds of each combination, or the seeds. None: the
            configuration's.
        folder: of the sweep. If it holds part of the same sweep, that is continued. None: a temporary one,
            which is removed with the returned sweep and its best run, or if all runs fail.

    Raises:
        UserError: as in `train`.
        RunFailed: if all runs failed. If some did, there is a warning.
    """
    varying = choices(dict(grid or {}))
    if seeds is not None:
        varying += choices({"seed": range(seeds) if isinstance(seeds, int | np.integer) else seeds})
    return _sweep(table, target, keys, overrides, varying, folder=folder, progress=progress)


def search(
    table: Table = None,
    /,
    target: Target = None,
    *,
    trials: int | None = None,
    minutes: float | None = None,
    space: Mapping[str, str | Sequence[object]] | str = "mlp",
    folder: str | PathLike[str] | None = None,
    overrides: Sequence[str] = (),
    progress: bool = True,
    **keys: object,
) -> FinishedSweep:
    """Searches hyperparameters by validation rows, as the command `train -m sweep=mlp` does.

    Args:
        table, target, overrides, progress, keys: as in `train`.
        trials: the number of trials; None: 64, or as many as there is time for.
        minutes: the time for the search; None: no limit.
        space: an option of `conf/sweep`, or for each key a list of values, or a range as on the command line:
            `{"optimizer.lr": "tag(log,interval(1e-4,1e-1))", "model.hidden": [[64], [128, 128]]}`.
        folder: as in `sweep`.

    Raises:
        UserError, RunFailed: as in `sweep`.
    """
    limits = {"trials": trials, "minutes": minutes}
    given = [setting(f"sweep.{key}", limit) for key, limit in limits.items() if limit is not None]
    spaces = {"sweep": space} if isinstance(space, str) else space
    words = [f"{key}={values}" for key, values in spaces.items() if isinstance(values, str)]
    given += choices({key: values for key, values in spaces.items() if not isinstance(values, str)})
    return _sweep(table, target, keys, [*words, *overrides], given, folder=folder, progress=progress)


def _sweep(*arguments: Any, folder: str | PathLike[str] | None, progress: bool) -> FinishedSweep:
    frame, overrides = read_arguments(*arguments)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "IProgress not found")  # of Optuna's tqdm, in notebooks
        from mlplab.composition.compose_sweep import compose_sweep
        from mlplab.sweeps.sweep import sweep as train_sweep

    path = Path(folder or tempfile.mkdtemp(prefix="mlplab-"))
    with ExitStack() as undone:
        if not folder:  # it is removed if training does not end
            undone.callback(shutil.rmtree, path, ignore_errors=True)
        composed = compose_sweep(overrides, config_folders(), path)
        try:
            with process_as_before():
                train_sweep(composed, DataCache(frame), Console(quiet=True), Console(quiet=not progress))
        except RunFailed as error:
            is_any_done = any(read_metrics(run)["status"] == "done" for run in runs_below(path))
            if type(error) is not RunFailed or not is_any_done:  # a full disk
                raise
            log.warning("%s", str(error).replace("\n  ", "; "))
        undone.pop_all()
    return FinishedSweep(path, frame, is_temporary=folder is None)
