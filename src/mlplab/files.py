"""Files that are either whole or not there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PART = ".part"
"""How the name ends of a file that is being written."""


@contextmanager
def replacing(
    path: Path, *, synced: bool = True, before: Path | None = None, follow: bool = False
) -> Iterator[Path]:
    """A path beside `path` to write to; on leaving, the file takes the place of `path`.

    If the block raises, `path` stays as it was. At any moment `path` or `before` is a whole file.

    Args:
        synced: to disk, the file before that and its folder after, so that it outlives a loss of power; takes
            milliseconds.
        before: keeps what `path` was.
        follow: where `path` is a link, it stays, and what it points to is replaced. A run's folder may come
            from a stranger: there a link is replaced, and what it points to stays.
    """
    path = Path(os.path.realpath(path)) if follow else path
    partial = path.with_name(f".{path.name}.{os.getpid()}{PART}")
    try:
        yield partial
        if synced:
            with partial.open("rb+") as file:
                os.fsync(file.fileno())
        if before and path.exists():
            path.replace(before)
        partial.replace(path)
        if synced:
            _sync_folder(path.parent)
    except OSError as error:
        if error.errno and not error.filename:  # as a failed write does not tell
            error.filename = os.fspath(path)
        raise
    finally:
        partial.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Writes a folder's names to disk, where the system can; else a loss of power may undo a rename."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def remove_leftovers(folder: Path, name: str = "*") -> None:
    """Removes what writers of a file have left that were killed; nobody else may be writing it."""
    for partial in folder.glob(f".{name}.*{PART}"):
        partial.unlink(missing_ok=True)
