"""Trains a stack of a sweep, here or as a worker, to which a file hands it. Imports torch when it trains.

The file says what the worker cannot read in the run folders, which do not exist yet. It is JSON, and the
versions in it are compared before anything else is read.
"""

import io
import json
import logging
import os
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import chain
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter
from pydantic_core import to_jsonable_python
from rich.console import Console

from mlplab.config.allowed_classes import VARIABLE
from mlplab.data.cache import DataCache
from mlplab.errors import (
    CannotWrite,
    Fault,
    FolderInUse,
    Interrupted,
    UserError,
    cannot_write,
    is_disk_error,
    listed,
    reason_of,
    refusal,
)
from mlplab.files import Plain, write_json
from mlplab.imports import frozen_objects, heavy_imports
from mlplab.runs.folder import package_versions
from mlplab.runs.planned_run import has_ended, was_started
from mlplab.sweeps.engines.engine import SHARED_FILE_SECONDS, PlannedStack, record_error

MAX_WAIT_SECONDS = 120.0  # how long a stack waits for a folder that another process uses

T = TypeVar("T")

AS_STACK = TypeAdapter(PlannedStack)

log = logging.getLogger(__name__)


def train_stack(stack: PlannedStack, console: Console, cache: DataCache) -> list[Exception]:
    """Trains the runs of a stack that have not ended together. If one fails, trains the others individually.

    What becomes of each run is in its folder. Another process may use one of the folders: the worker of a
    command that was killed, for example. If it does so for `MAX_WAIT_SECONDS`, the stack stays as it is.

    Returns:
        The errors that could not be recorded in the folder of their run.

    Raises:
        Interrupted: after SIGINT or SIGTERM, with the training state saved.
        CannotWrite: if the disk is full.
    """
    with heavy_imports():
        from mlplab.runs import checkpoint

    deadline = None
    while True:
        try:
            unrecorded = _train(replace(stack, runs=stack.beginning_now()), console, cache)
            checkpoint.remove(stack.file)
            return unrecorded
        except FolderInUse as error:
            if deadline is None:
                deadline = time.monotonic() + MAX_WAIT_SECONDS
                log.info("%s: waiting until it is free …", reason_of(error))
            elif time.monotonic() > deadline:
                log.warning("%s: %s; its stack was not trained", stack.title, reason_of(error))
                return [error]
            time.sleep(1)


def _train(stack: PlannedStack, console: Console, cache: DataCache) -> list[Exception]:
    with heavy_imports():
        from mlplab.runs.resume import can_resume
        from mlplab.runs.train_runs import train_runs

    left = (run for run in stack.runs if not has_ended(run.folder, run.config))
    runs = [replace(run, resume=was_started(run.folder)) for run in left]
    if not runs:
        return []
    try:
        train_runs(runs, cache, console, title=f"{stack.title}  ", stack_file=stack.file)
        return []
    except (Interrupted, CannotWrite, FolderInUse):
        raise
    except Exception as error:
        if len(runs) == 1:
            return record_error(runs[0], error)  # its log has the traceback
        # Runs whose training states cannot be used fail, and the others train together. If there is none, all
        # train alone, to find out which one failed.
        resumed = [run for run in runs if run.resume and isinstance(error, UserError)]
        alone = [run for run in resumed if not can_resume(run, cache)] or runs
        groups = [*([run] for run in alone), [run for run in runs if run not in alone]]
        return list(chain(*(_train(replace(stack, runs=group), console, cache) for group in groups)))


def write_job(stack: PlannedStack) -> Path:
    """Writes a stack beside its checkpoint; returns the path."""
    path = stack.file.with_suffix(".json").absolute()
    content = {
        "versions": versions(),
        "directory": os.fspath(Path.cwd()),  # from which relative paths lead
        "search_path": sys.path,
        "custom_classes": os.environ.get(VARIABLE, ""),
        "stack": to_jsonable_python(AS_STACK.dump_python(stack), inf_nan_mode="constants"),
    }
    write_json(path, content)
    return path


@frozen_objects()
def run_job(path: Path) -> bool:
    """Trains a stack in this process; False if a signal has stopped it, with the state saved.

    Raises:
        UserError: if this process is no worker for the sweep.
        Exception: an error that could not be recorded in the folder of its run.
        CannotWrite: if the disk is full.
    """
    content = _read(path)
    os.chdir(content["directory"])
    sys.path += [place for place in content["search_path"] if place not in sys.path]
    os.environ[VARIABLE] = content["custom_classes"]
    stack = AS_STACK.validate_python(content["stack"])
    try:
        unrecorded = train_stack(stack, Console(file=io.StringIO()), _tables())
    except Interrupted:
        return False
    except OSError as error:
        raise cannot_write(error) if is_disk_error(error) else error from error
    if unrecorded:
        raise unrecorded[0]
    return True


@frozen_objects()
def call_with_tables(function: Callable[..., T], *arguments: object) -> T:
    """What a function returns, called with the tables of this process."""
    return function(_tables(), *arguments)


def versions() -> dict[str, str]:
    """The versions that must be the same in all workers."""
    return {name: package_versions()[name] for name in ("python", "mlplab", "torch", "lightning")}


_tables = cache(DataCache)  # the tables that this process has read


def _read(path: Path) -> Plain:
    host, deadline = socket.gethostname(), time.monotonic() + SHARED_FILE_SECONDS
    while not path.exists():
        if time.monotonic() > deadline:
            remedy = "work in a folder that all machines share, and put the sweep there: hydra.sweep.dir=…"
            raise refusal(f"is not seen by the worker {host}", path.parents[1], remedy)
        time.sleep(0.5)
    content: Plain = json.loads(path.read_text(encoding="utf-8"))
    here, there = versions(), content["versions"]
    if names := [name for name in there if here.get(name) != there[name]]:
        found, expected = (listed(f"{name} {known.get(name)}" for name in names) for known in (here, there))
        what, remedy = "has other versions than the command", "install the same versions on both"
        raise UserError(Fault(what, f"the worker {host}", found, expected, remedy))
    return content
