"""What a run leaves behind."""

import json
import logging
import math
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import yaml

from mlplab.config.keys import differing
from mlplab.errors import Fault, UserError
from mlplab.files import remove_leftovers, replacing
from mlplab.runs.discovery import read_config, read_metrics
from mlplab.runs.lock import Lock

Status = Literal["running", "done", "failed", "interrupted", "diverged"]
Metrics = dict[str, Any]
"""Content of a `metrics.json`: names to numbers, None and text."""


Stamp = tuple[int, int]
"""Changes whenever a process takes a run's folder."""


def stamp_of(folder: Path) -> Stamp:
    """That of a run's folder now."""
    try:
        found = (folder / "metrics.json").stat()
    except OSError:
        return (0, 0)
    return found.st_ino, found.st_mtime_ns


class RunFolder:
    """A folder of one run, and of nothing else.

    It holds `config.yaml`, `metrics.json`, `environment.json`, `schema.json`, `train.log`,
    `checkpoints/best.ckpt`, `checkpoints/last.ckpt` and what the loggers write.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._log: logging.Handler = logging.NullHandler()
        self._lock = Lock(path)

    def claim(self, config: Mapping[str, Any]) -> None:
        """Makes the folder, or takes an empty one; of several processes that try, one succeeds.

        Raises:
            UserError: if the folder holds anything, or is a file.
        """
        path = self.path
        self.check_unused()
        try:
            path.mkdir(parents=True, exist_ok=True)
            (path / "metrics.json").touch(exist_ok=False)
        except FileExistsError:
            raise UserError(self._used()) from None
        except OSError as error:
            raise UserError(Fault(f"cannot be made: {error.strerror}", str(path))) from error
        try:
            self._lock.take()
            self.write_metrics("running", {})
            (path / "checkpoints").mkdir()
            self._write_config(config)
        except BaseException:
            self.release()
            raise

    def check_unused(self) -> None:
        """Checks that there is no such folder yet, or that it is empty.

        Raises:
            UserError: otherwise.
        """
        if self.path.is_file() or (self.path.is_dir() and any(self.path.iterdir())):
            raise UserError(self._used())

    def _used(self) -> Fault:
        remedy = "give another: name=… or hydra.run.dir=…"
        return Fault("exists and is not empty", str(self.path), remedy=remedy)

    def reopen(self, config: Mapping[str, Any], stamp: Stamp, *, anew: bool) -> None:
        """Takes the folder of a run that has not ended, or is to go on, and cleans up what was half written.

        Args:
            stamp: of the folder when it was looked at.
            anew: removes what training has left, for a run that begins again.

        Raises:
            UserError: if another process is at work in it or was since, or it holds links, which might lead
                out of it.
        """
        links = (path for path in self.path.rglob("*") if path.is_symlink())
        if link := next(links, None):
            raise UserError(Fault("is a link, which no run makes", str(link), remedy="remove it"))
        self._lock.take()
        try:
            if stamp_of(self.path) != stamp:
                remedy = "give the command again"
                raise UserError(Fault("another process was at work in it", str(self.path), remedy=remedy))
            for folder in (self.path, self.path / "checkpoints"):
                remove_leftovers(folder)
            if anew:
                shutil.rmtree(self.path / "checkpoints", ignore_errors=True)
                for name in ("train.log", "environment.json", "schema.json"):
                    (self.path / name).unlink(missing_ok=True)
            self.write_metrics("running", {})
            (self.path / "checkpoints").mkdir(exist_ok=True)
            self._write_config(config)
        except BaseException:
            self.free()
            raise

    def take(self) -> None:
        """Keeps other processes from the folder.

        Raises:
            UserError: if one is at work in it.
        """
        self._lock.take()

    def free(self) -> None:
        """Lets other processes have the folder."""
        self._lock.free()

    def release(self) -> None:
        """Removes what `claim` has made, if nothing was added."""
        for name in ("metrics.json", "config.yaml"):
            (self.path / name).unlink(missing_ok=True)
        with suppress(OSError):
            (self.path / "checkpoints").rmdir()
        self.free()
        with suppress(OSError):
            self.path.rmdir()

    def _write_config(self, config: Mapping[str, Any]) -> None:
        text = yaml.dump(dict(config), Dumper=yaml.CSafeDumper, sort_keys=False)
        with replacing(self.path / "config.yaml", synced=False) as partial:
            partial.write_text(text, encoding="utf-8")

    @property
    def best(self) -> Path:
        """The checkpoint of the best epoch."""
        return self.path / "checkpoints" / "best.ckpt"

    @property
    def last(self) -> Path:
        """The checkpoint of the last epoch."""
        return self.path / "checkpoints" / "last.ckpt"

    def write_metrics(self, status: Status, metrics: Metrics, reason: str | None = None) -> Metrics:
        """`metrics.json`, flat, with the status and, if it is not a good one, the reason."""
        content: Metrics = {"status": status, **({"reason": reason} if reason else {}), **metrics}
        self._write_json("metrics.json", content, synced=status != "running")
        return content

    def write_environment(self, device: str) -> None:
        """`environment.json`: what the figures depend on beside configuration and data."""
        self._write_json(
            "environment.json", {**_environment(), "device": device, "command": sys.argv}, synced=False
        )

    def write_schema(self, schema: Mapping[str, Any]) -> None:
        """`schema.json`: what the columns were taken for, to be read; what counts is in the checkpoints."""
        self._write_json("schema.json", schema, synced=False)

    @contextmanager
    def log(self) -> Iterator[None]:
        """Also writes what this package logs to `train.log`."""
        self._log = logging.FileHandler(self.path / "train.log", encoding="utf-8")
        self._log.setFormatter(logging.Formatter("%(asctime)s  %(message)s", "%Y-%m-%d %H:%M:%S"))
        logger = logging.getLogger("mlplab")
        logger.addHandler(self._log)
        try:
            yield
        finally:
            logger.removeHandler(self._log)
            self._log.close()

    def note(self, line: str) -> None:
        """Writes a line to `train.log` alone."""
        self._log.handle(logging.makeLogRecord({"msg": line}))

    def _write_json(self, name: str, content: Mapping[str, Any], *, synced: bool) -> None:
        with replacing(self.path / name, synced=synced) as partial:
            partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def record_failed(path: Path, values: Mapping[str, Any], reason: str) -> None:
    """Says in a run's folder why it failed, unless that is said already, or the folder is another run's or
    in another process's hands."""
    folder = RunFolder(path)
    with suppress(UserError):
        if not path.exists() or not any(path.iterdir()):
            folder.claim(values)
        elif (path / "config.yaml").exists() and differing(values, read_config(path)):
            return
        else:
            folder.take()
        if read_metrics(path)["status"] in ("running", "unknown"):
            folder.write_metrics("failed", {}, reason)
        folder.free()


def finite(metrics: Metrics) -> Metrics:
    """Metrics with None for what is not finite, which JSON has no word for."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in metrics.items()
    }


@cache
def _environment() -> dict[str, Any]:
    """The same for all runs of a process."""
    packages = ("mlplab", "torch", "lightning", "hydra-core", "torchmetrics", "polars", "numpy")
    versions = {"python": platform.python_version(), **{each: version(each) for each in packages}}
    return {"versions": versions, "platform": platform.platform(), "git": _git_state()}


def _git_state() -> dict[str, Any] | None:
    """Commit of the code, and whether it was changed since; None outside a git checkout."""
    code = Path(__file__).parent

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", os.fspath(code), *arguments], capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()

    with suppress(OSError, subprocess.SubprocessError):
        return {"commit": git("rev-parse", "HEAD"), "changed": bool(git("status", "--porcelain"))}
    return None
