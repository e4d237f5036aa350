"""Training from Python, by the functions of the commands."""

import os
import random
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

from rich.console import Console

from mlplab.api.composing import LOCK, composing
from mlplab.api.finished_run import FinishedRun
from mlplab.api.finished_sweep import FinishedSweep
from mlplab.api.keywords import Table, Target, arguments_as_overrides, choices
from mlplab.cli.commands.train import resumed
from mlplab.cli.compose import plain
from mlplab.cli.overrides import check_overrides
from mlplab.commands.train import draw
from mlplab.commands.train import train as train_run
from mlplab.config import parse
from mlplab.config.dotted_keys import quoted
from mlplab.data.cache import DataCache
from mlplab.errors import Interrupted, reason_of
from mlplab.imports import heavy_imports


@contextmanager
def process_as_before() -> Iterator[None]:
    """Restores torch's number of threads, which training sets, and Python's random numbers.

    Importing Lightning draws some of them. Ctrl-C is a KeyboardInterrupt again.
    """
    with LOCK:
        drawn = random.getstate()
        with heavy_imports():
            import torch

        threads = torch.get_num_threads()
        try:
            yield
        except Interrupted as error:
            raise KeyboardInterrupt(reason_of(error)) from error
        finally:
            torch.set_num_threads(threads)
            random.setstate(drawn)


def train(
    table: Table = None,
    /,
    target: Target = None,
    *,
    folder: str | PathLike[str] | None = None,
    resume: str | PathLike[str] | None = None,
    overrides: Sequence[str] = (),
    progress: bool = True,
    **keys: Any,
) -> FinishedRun:
    """Trains a network, or an ensemble if the table is small, as the command `train` does.

    Another call that trains at the same time waits.

    Args:
        table: rows to train, validate and test on: a polars, pandas or Arrow frame, a dict of columns, or the
            path of CSV or Parquet files. None: the table of the configuration, which ships with mlplab. The
            keyword `data={…}` is the section of that name.
        target: the column to predict, or a list of several; or its values, one for each row of a frame.
        folder: of the run, new or empty. None: a temporary one, which is removed with the returned run, or if
            training does not end.
        resume: the folder of a run that was interrupted, or is to train for more epochs
            (`trainer={"max_epochs": 500}`). A run on a frame needs the same frame again.
        overrides: as on the command line: `["optimizer.lr=0.01", "model=linear"]`.
        progress: whether to show a progress bar.
        keys: all keys of the configuration, nested: `optimizer={"lr": 0.01}`, `model="linear"`,
            `data={"split": "group", "columns": {"zip": "categorical"}}`. Messages write them with dots:
            `optimizer.lr`.

    Raises:
        UserError: if an argument, the table or the folder cannot be used.
        RunFailed: if the loss becomes non-finite.
    """
    frame, words = arguments_as_overrides(table, target, keys, overrides)
    cache, console = DataCache(frame), Console(quiet=not progress)
    with _folder(resume or folder) as path:
        if resume:
            words = [word for word in words if word not in ("data=frame", "data=csv")]
            check_overrides(words, multirun=False)
            run, _ = resumed([*words, f"resume={quoted(os.fspath(path))}"])
        else:
            with composing(words) as compose:
                run = parse(plain(compose(words)))
        with process_as_before():
            metrics = train_run(run, path, words, cache, console, resume=resume is not None)
            draw(run, path, metrics, cache)
    return FinishedRun(path, frame, is_temporary=not (folder or resume))


def sweep(
    table: Table = None,
    /,
    target: Target = None,
    *,
    grid: Mapping[str, Sequence[Any]] | None = None,
    seeds: int | Sequence[int] | None = None,
    folder: str | PathLike[str] | None = None,
    overrides: Sequence[str] = (),
    progress: bool = True,
    **keys: Any,
) -> FinishedSweep:
    """Trains a run for each combination of values in lockstep, as the command `train -m` does.

    Args:
        table, target, overrides, progress, keys: as in `train`.
        grid: values by key: `{"optimizer.lr": [1e-3, 1e-2], "model": ["mlp", "linear"]}`.
        seeds: the number of seeds of each combination, or the seeds. None: the
            configuration's.
        folder: of the sweep. If it holds part of the same sweep, that is continued. None: a temporary one,
            which is removed with the returned sweep, or if a run fails.

    Raises:
        UserError: as in `train`.
        RunFailed: if some runs failed; the others have trained, and are in `folder`.
    """
    values = dict(grid or {})
    if seeds is not None:
        values["seed"] = range(seeds) if isinstance(seeds, int) else seeds
    frame, words = arguments_as_overrides(table, target, keys, [*choices(values), *overrides])
    with LOCK, warnings.catch_warnings(), _folder(folder) as path:
        warnings.filterwarnings("ignore", "IProgress not found")  # of Optuna's tqdm, in notebooks
        from mlplab.cli.compose_sweep import compose_sweep
        from mlplab.sweeps.sweep import sweep as train_sweep

        words.append(f"hydra.sweep.dir={quoted(os.fspath(path))}")
        with composing(words, sweep=True) as compose:
            composed = compose_sweep(compose, words)
            with process_as_before():
                train_sweep(composed, DataCache(frame), Console(quiet=True), Console(quiet=not progress))
    return FinishedSweep(path, frame, is_temporary=folder is None)


def search(
    table: Table = None,
    /,
    target: Target = None,
    *,
    trials: int | None = None,
    minutes: float | None = None,
    space: Mapping[str, str] | str = "mlp",
    folder: str | PathLike[str] | None = None,
    overrides: Sequence[str] = (),
    progress: bool = True,
    **keys: Any,
) -> FinishedSweep:
    """Searches hyperparameters by validation rows, as the command `train -m sweep=mlp` does.

    Args:
        table, target, overrides, progress, keys: as in `train`.
        trials: the number of trials; None: 64, or as many as there is time for.
        minutes: the time for the search; None: no limit.
        space: an option of `conf/sweep`, or a space for each key, as on the command line:
            `{"optimizer.lr": "tag(log,interval(1e-4,1e-1))", "model.dropout": "choice(0,0.2)"}`.
        folder: as in `sweep`.

    Raises:
        UserError, RunFailed: as in `sweep`.
    """
    limits = {"trials": trials, "minutes": minutes}
    words = [f"sweep.{key}={limit}" for key, limit in limits.items() if limit is not None]
    spaces = {"sweep": space} if isinstance(space, str) else space
    words += [f"{key}={values}" for key, values in spaces.items()]
    return sweep(table, target, folder=folder, overrides=[*words, *overrides], progress=progress, **keys)


@contextmanager
def _folder(given: str | PathLike[str] | None) -> Iterator[Path]:
    """The folder to train in: a new one if none is given, which is removed if training does not end."""
    path = Path(given or tempfile.mkdtemp(prefix="mlplab-"))
    try:
        yield path
    except BaseException:
        if not given:
            shutil.rmtree(path, ignore_errors=True)
        raise
