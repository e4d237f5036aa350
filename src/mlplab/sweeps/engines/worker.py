"""What a worker does with a stack: it checks that it can train it, trains it, and replies. Imports no torch.

A worker may run on another machine. So the stack is pickled apart: the versions are compared before anything
of mlplab's is unpickled.
"""

import hashlib
import io
import os
import pickle
import platform
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlplab.config import TrainConfig
from mlplab.config.allowed_classes import VARIABLE
from mlplab.data.cache import DataCache
from mlplab.errors import CannotWrite, Fault, Interrupted, RunFailed, reason_of
from mlplab.imports import heavy_imports

if TYPE_CHECKING:
    from mlplab.sweeps.train_stack import Outcome, StackJob

PACKAGES = ("mlplab", "torch", "lightning")
"""Packages whose versions must be the same in all workers."""

LATE = 30.0
"""Seconds after which every machine sees a file that another has written to a shared folder."""


@dataclass(frozen=True)
class Assignment:
    """A stack for a worker.

    Attributes:
        stack: the pickled `StackJob`.
        runs: a hash of the configuration of each run and of the versions, by the path of its folder.
        seen: a file in the sweep's folder that the worker must see.
        versions: of Python and `PACKAGES` where the sweep was started.
        directory: the working directory there, from which relative paths lead.
        search_path: where modules are found there.
        custom_classes: the custom classes that are allowed there.
    """

    stack: bytes
    runs: Mapping[str, str]
    seen: Path
    versions: Mapping[str, str]
    directory: str
    search_path: tuple[str, ...]
    custom_classes: str | None

    @classmethod
    def of(cls, stack: "StackJob", seen: Path) -> "Assignment":
        """The assignment of a stack by this process."""
        return cls(
            pickle.dumps(stack),
            {os.fspath(run.folder): _hash(run.config) for run in stack.runs},
            seen.absolute(),
            versions(),
            os.fspath(Path.cwd()),
            tuple(sys.path),
            os.environ.get(VARIABLE),
        )


@dataclass(frozen=True)
class Reply:
    """How a worker's training has ended.

    Attributes:
        outcomes: of the stack's runs, by folder.
        stopped: why the stack has not ended, if the worker was stopped by a signal; its state is saved.
        refused: why no worker of this kind can train it.
        disk: the error if the disk is full.
    """

    outcomes: "dict[Path, Outcome]" = field(default_factory=dict)
    stopped: str = ""
    refused: tuple[Fault, ...] = ()
    disk: OSError | None = None

    def plain(self) -> dict[str, Any]:
        """As plain data for JSON."""
        from mlplab.sweeps.train_stack import RunRaised

        return {
            "outcomes": {
                os.fspath(folder): {
                    "failed": str(outcome.args[0]),
                    "raised": isinstance(outcome, RunRaised),
                }
                if isinstance(outcome, RunFailed)
                else outcome
                for folder, outcome in self.outcomes.items()
            },
            "stopped": self.stopped,
            "refused": [asdict(fault) for fault in self.refused],
            "disk": [self.disk.errno, self.disk.strerror, self.disk.filename] if self.disk else None,
        }

    @classmethod
    def from_plain(cls, content: Mapping[str, Any]) -> "Reply":
        """From plain data.

        Raises:
            KeyError, TypeError, AttributeError: if it is not a reply.
        """
        from mlplab.sweeps.train_stack import RunRaised

        def outcome(plain: Mapping[str, Any]) -> "Outcome":
            if "failed" in plain:
                return (RunRaised if plain["raised"] else RunFailed)(str(plain["failed"]))
            return dict(plain)

        disk = content["disk"]
        return cls(
            {Path(folder): outcome(plain) for folder, plain in content["outcomes"].items()},
            str(content["stopped"]),
            tuple(Fault(**fault) for fault in content["refused"]),
            OSError(*disk) if disk else None,
        )


def _hash(run: TrainConfig) -> str:
    return hashlib.sha256(f"{versions()} {run.model_dump_json()}".encode()).hexdigest()[:16]


@cache
def versions() -> dict[str, str]:
    """The versions of Python and `PACKAGES` here."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


@cache
def _own_cache() -> DataCache:
    """The tables that this process has read."""
    return DataCache()


def train_assigned(assignment: Assignment, cache: DataCache | None = None) -> Reply:
    """Trains a stack in this process.

    Args:
        cache: tables that have been read already; None: this process reads them, each once.
    """
    if faults := _check(assignment):
        return Reply(refused=faults)
    os.chdir(assignment.directory)
    sys.path += [place for place in assignment.search_path if place not in sys.path]
    if assignment.custom_classes is not None:
        os.environ[VARIABLE] = assignment.custom_classes
    with heavy_imports():
        from rich.console import Console

        from mlplab.sweeps.train_stack import train_patiently
    stack: StackJob = pickle.loads(assignment.stack)
    try:
        own = _own_cache()
        if cache:
            own.add(cache)
        return Reply(train_patiently(stack, Console(file=io.StringIO()), own))
    except Interrupted as error:
        return Reply(stopped=reason_of(error))
    except CannotWrite as error:
        return Reply(disk=error.error)


def _check(assignment: Assignment) -> tuple[Fault, ...]:
    """Why this process is no worker for a sweep: other versions, or another file system."""
    host, here, there = socket.gethostname(), versions(), assignment.versions
    if differ := [name for name in there if here[name] != there[name]]:
        return tuple(
            Fault(
                f"is {here[name]} on the worker {host}, and {there[name]} where the sweep was started",
                name,
                remedy="install the same versions on both",
            )
            for name in differ
        )
    deadline, directory = time.monotonic() + LATE, Path(assignment.directory)
    while not (assignment.seen.exists() and directory.is_dir()):
        if time.monotonic() > deadline:
            unseen = assignment.seen.parent if directory.is_dir() else directory
            remedy = "work in a folder that all machines share, and put the sweep there: hydra.sweep.dir=…"
            return (Fault(f"is not seen by the worker {host}", str(unseen), remedy=remedy),)
        time.sleep(0.5)
    return ()
