"""A job: a stack in a file, which a worker trains. Imports no torch.

The file says what the worker cannot read in the run folders, which do not exist yet. It is JSON, and the
versions in it are compared before anything else is read.
"""

import io
import json
import os
import socket
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter
from pydantic_core import to_jsonable_python

from mlplab.config.allowed_classes import VARIABLE
from mlplab.data.cache import DataCache
from mlplab.errors import Fault, Interrupted, UserError, cannot_write, is_disk_error, listed, refusal
from mlplab.files import Plain, write_json
from mlplab.imports import frozen_objects, heavy_imports
from mlplab.runs.folder import package_versions
from mlplab.sweeps.engines.engine import SHARED_FILE_SECONDS, PlannedStack

T = TypeVar("T")

AS_STACK = TypeAdapter(PlannedStack)


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
    with heavy_imports():
        from rich.console import Console

        from mlplab.sweeps.train_stack import train_stack
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
