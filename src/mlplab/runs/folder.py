"""The folder of a run: its files, and how it is created, locked and written."""

import logging
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

import yaml

from mlplab.config import Mark, differing, is_marked
from mlplab.errors import Fault, FolderInUse, UserError, refusal
from mlplab.figures import FIGURES
from mlplab.files import LOCK, FolderLock, Plain, remove_partial_files, replacing, write_json
from mlplab.runs.discovery import FILM_FILE, TEST_PREDICTIONS
from mlplab.runs.planned_run import MAY_GROW, OTHER_FOLDER, was_started
from mlplab.runs.read_folder import read_config, read_metrics
from mlplab.runs.versions import VERSION


def write_config(folder: Path, config: Mapping[str, object]) -> None:
    """Writes the `config.yaml` of a run, with the version of mlplab in its first line."""
    text = yaml.dump(dict(config), Dumper=yaml.CSafeDumper, sort_keys=False)
    with replacing(folder / "config.yaml", synced=False) as partial:
        partial.write_text(f"# mlplab {VERSION}\n{text}", encoding="utf-8")


class RunFolder:
    """The files in the folder of a run, other than those of its loggers."""

    def __init__(self, path: Path) -> None:
        self.path = path
        names = "best", "last", "source"
        self.best, self.last, self.source = (path / "checkpoints" / f"{name}.ckpt" for name in names)
        self._log: logging.Handler = logging.NullHandler()
        self.lock = FolderLock(path)

    def create(self, config: Mapping[str, object]) -> None:
        """Creates the folder, or uses an empty one, and locks it. Only one of several processes succeeds.

        Raises:
            UserError: if the folder is not empty, or is a file.
        """
        self.check_unused()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            (self.path / "metrics.json").touch(exist_ok=False)
        except FileExistsError:  # made by another process since, or a link that leads nowhere
            raise self._not_empty() from None
        except OSError as error:
            raise refusal(f"cannot be created: {error.strerror}", self.path) from error
        try:
            self.lock.acquire()
            self._write_start(config)
        except BaseException:
            self.discard()
            raise

    def check_unused(self) -> None:
        """Checks that the folder does not exist, or is empty.

        Raises:
            UserError: otherwise.
        """
        if self.path.is_file() or (self.path.is_dir() and any(self.path.iterdir())):
            raise self._not_empty()

    def _not_empty(self) -> UserError:
        if self.path.is_file():
            return refusal("is a file, not a folder", self.path, OTHER_FOLDER)
        return FolderInUse(Fault("exists and is not empty", str(self.path), remedy=OTHER_FOLDER))

    def reopen(self, config: Mapping[str, object], *, restart: bool) -> None:
        """Prepares the folder of a run that is resumed, and is locked.

        Args:
            restart: whether the run starts from the beginning, so that its files are removed.

        Raises:
            UserError: if it contains links, which might lead out of it.
        """
        links = (path for path in self.path.rglob("*") if path.is_symlink())
        # W&B makes links in a folder of its own.
        if link := next((path for path in links if self.path / "wandb" not in path.parents), None):
            raise refusal("is a symbolic link, which runs never create", link, "remove it")
        for folder in (self.path, self.path / "checkpoints"):
            remove_partial_files(folder)
        shutil.rmtree(self.path / FIGURES, ignore_errors=True)  # of the network so far
        (self.path / FILM_FILE).unlink(missing_ok=True)
        if restart:
            shutil.rmtree(self.path / "checkpoints", ignore_errors=True)
            for name in ("train.log", "environment.json", "schema.json", TEST_PREDICTIONS):
                (self.path / name).unlink(missing_ok=True)
        self._write_start(config)

    def _write_start(self, config: Mapping[str, object]) -> None:
        self.write_metrics({"status": "running"})
        (self.path / "checkpoints").mkdir(exist_ok=True)
        write_config(self.path, config)

    def discard(self) -> None:
        """Removes what was written since `create`, which takes only empty folders, and the folder."""
        (self.path / "metrics.json").unlink(missing_ok=True)
        for path in self.path.glob("*") if self.lock.is_held else ():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name != LOCK:
                path.unlink(missing_ok=True)
        self.lock.release()
        with suppress(OSError):
            self.path.rmdir()

    def write_metrics(self, content: Plain) -> Plain:
        """Writes `metrics.json`, and returns its content."""
        write_json(self.path / "metrics.json", content, synced=content["status"] != "running")
        return content

    def write_environment(self, device: str) -> None:
        """Writes `environment.json`: what results depend on, apart from configuration and data."""
        here = {"versions": package_versions(), "platform": platform.platform(), "git": _git_state()}
        content = {**here, "device": device, "command": sys.argv}
        write_json(self.path / "environment.json", content, synced=False)

    @contextmanager
    def log(self) -> Iterator[None]:
        """Also writes this package's log to `train.log`."""
        self._log = _LogFile(self.path / "train.log", encoding="utf-8")
        self._log.setFormatter(logging.Formatter("%(asctime)s  %(message)s", "%Y-%m-%d %H:%M:%S"))
        logger = logging.getLogger("mlplab")
        logger.addHandler(self._log)
        try:
            yield
        finally:
            logger.removeHandler(self._log)
            self._log.close()

    def log_line(self, line: str) -> None:
        """Writes a line to `train.log` only."""
        self._log.handle(logging.makeLogRecord({"msg": line}))


class _LogFile(logging.FileHandler):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Does nothing: a full disk is reported when a checkpoint cannot be written."""


def record_failure(path: Path, config: Mapping[str, object], reason: str) -> None:
    """Writes the reason why a run failed to its folder.

    Does nothing if the run has ended, or if the folder is a file, belongs to a different run or is in use.
    """
    folder = RunFolder(path)
    with suppress(UserError):
        if not was_started(path):
            folder.create(config)
            folder.lock.release()
        saved = read_config(path) if (path / "config.yaml").exists() else config
        changed = set(differing(config, saved)) - {MAY_GROW}
        if not all(is_marked(key, Mark.MAY_CHANGE) for key in changed):
            return
        with folder.lock:
            if read_metrics(path)["status"] in ("running", "interrupted", "unknown"):
                folder.write_metrics({"status": "failed", "reason": reason})


@cache
def package_versions() -> dict[str, str]:
    """The versions of Python, and of the packages that results depend on."""
    packages = ("mlplab", "torch", "lightning", "hydra-core", "torchmetrics", "polars", "numpy")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}


@cache
def _git_state() -> dict[str, object] | None:
    """The commit of the code, and whether there are changes or new files; None outside a git repository."""
    git = ["git", "-C", os.fspath(Path(__file__).parent)]
    with suppress(OSError, subprocess.SubprocessError):
        commit, changes = (
            subprocess.check_output([*git, *words], text=True, stderr=subprocess.DEVNULL, timeout=10).strip()
            for words in (["rev-parse", "HEAD"], ["status", "--porcelain"])
        )
        return {"commit": commit, "changed": bool(changes)}
    return None
