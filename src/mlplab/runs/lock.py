"""One process at a time in a folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from mlplab.errors import Fault, UserError, of_the_disk

LOCK = ".lock"
"""Held by the process that fills a folder, and let go by the system when that dies."""


class Lock:
    """That of a folder.

    Raises:
        UserError: on `take`, if another process has it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self._lock = folder, FileLock(folder / LOCK, timeout=0)

    def take(self) -> None:
        """Takes it, until `free` or the end of the process."""
        try:
            self._lock.acquire()
        except Timeout:
            remedy = "wait for it, or stop it"
            raise UserError(Fault("is in use by another process", str(self.folder), remedy=remedy)) from None
        except NotImplementedError as error:  # filelock before 4: the file system has no flock
            raise UserError(Fault("lies where no file can be locked", str(self.folder))) from error
        except OSError as error:
            if of_the_disk(error):
                raise
            raise UserError(Fault(f"cannot be written to: {error.strerror}", str(self.folder))) from error

    @contextmanager
    def held(self) -> Iterator[None]:
        """Takes it for a while."""
        self.take()
        try:
            yield
        finally:
            self.free()

    def free(self) -> None:
        """Lets it go, and leaves no trace."""
        if self._lock.is_locked:
            (self.folder / LOCK).unlink(missing_ok=True)
            self._lock.release()
