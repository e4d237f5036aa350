"""Files that are written completely or not at all, and folders that one process at a time may fill."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile

from filelock import FileLock, Timeout

from mlplab.errors import Fault, FolderInUse, UserError, is_disk_error

Plain = dict[str, Any]
"""Plain data by name, such as the content of a JSON or YAML file."""

PART = ".part"
"""Suffix of a file that is being written."""

LOCK = ".lock"
"""Name of a folder's lock file. The system releases the lock when the process that holds it dies."""


@contextmanager
def replacing(
    path: Path, *, synced: bool = True, previous: Path | None = None, follow: bool = False
) -> Iterator[Path]:
    """Yields a temporary path to write to; on exit, that file replaces `path`.

    If the block raises, `path` is unchanged. At any moment, `path` or `previous` is a complete file.

    Args:
        synced: whether file and folder must survive a power failure, which takes milliseconds.
        previous: where to move the file that is replaced.
        follow: whether to replace the file that a link points to. Otherwise the link itself is replaced,
            because a run's folder may come from a stranger.
    """
    path = Path(os.path.realpath(path)) if follow else path
    partial = path.with_name(f".{path.name}.{os.getpid()}{PART}")
    try:
        yield partial
        if synced:
            _sync(partial, os.O_RDWR)
        if previous and path.exists():
            path.replace(previous)
        partial.replace(path)
        if synced:
            with suppress(OSError):  # Windows cannot
                _sync(path.parent, os.O_RDONLY)
    except OSError as error:
        if error.errno and not error.filename:  # a failed write does not set it
            error.filename = os.fspath(path)
        raise
    finally:
        partial.unlink(missing_ok=True)


def check_output(path: Path, *, overwrite: bool) -> None:
    """Checks that a file, which the key `output` of a command names, can be written.

    Raises:
        UserError: otherwise, or if it exists and must not be replaced.
    """
    where = f"output={path}"
    if path.exists() and not (overwrite and path.is_file()):
        remedy = "choose a different file, or overwrite=true" if path.is_file() else "give a file"
        raise UserError(Fault("already exists", where, remedy=remedy))
    if not path.parent.is_dir():
        raise UserError(Fault(f"the folder {path.parent} does not exist", where, remedy="create it first"))
    if not os.access(path.parent, os.W_OK):
        raise UserError(Fault(f"the folder {path.parent} cannot be written to", where))


def check_archive(archive: ZipFile, path: Path) -> None:
    """Checks that the file of an archive, which may come from a stranger, does not expand.

    Raises:
        BadZipFile: otherwise.
    """
    parts = archive.infolist()
    if any(part.compress_type != ZIP_STORED for part in parts):
        raise BadZipFile("it is compressed, which such files never are")
    if sum(part.file_size for part in parts) > path.stat().st_size:
        raise BadZipFile("it claims to contain more than the file does")


def check_absent(path: Path) -> None:
    """Raises UserError if there is a file or a folder at a path."""
    if path.exists():
        raise UserError(Fault("exists", str(path), remedy="choose another folder, or remove it"))


def write_json(path: Path, content: object, *, synced: bool = True) -> None:
    """Writes a JSON file, completely or not at all; `synced` as in `replacing`."""
    with replacing(path, synced=synced) as partial:
        partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def read_json(path: Path) -> Plain:
    """The object in a JSON file; empty if there is none, or it is damaged."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _sync(path: Path, flags: int) -> None:
    """Flushes a file, or a folder's entries, to disk."""
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_partial_files(folder: Path) -> None:
    """Removes the partial files that killed processes left. No other process may be writing there."""
    for partial in folder.glob(f".*{PART}"):
        partial.unlink(missing_ok=True)


class FolderLock:
    """The lock of a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._lock = folder, FileLock(folder / LOCK, timeout=0)

    def acquire(self) -> None:
        """Takes the lock until `release` or the end of the process.

        Raises:
            FolderInUse: if another process holds it.
            UserError: if the folder cannot be locked.
        """
        try:
            self._lock.acquire()
        except Timeout:
            what, remedy = "is in use by another process", "wait for it, or stop it"
            raise FolderInUse(Fault(what, str(self.folder), remedy=remedy)) from None
        except (OSError, NotImplementedError) as error:  # the second, if the file system cannot lock files
            if is_disk_error(error):
                raise
            reason = getattr(error, "strerror", None) or "its file system has no file locks"
            raise UserError(Fault(f"cannot be written to: {reason}", str(self.folder))) from error

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *error: object) -> None:
        self.release()

    @property
    def is_held(self) -> bool:
        """Whether this process has taken it here."""
        return self._lock.is_locked

    def release(self) -> None:
        """Releases the lock and removes its file."""
        if self.is_held:
            (self.folder / LOCK).unlink(missing_ok=True)
            self._lock.release()
