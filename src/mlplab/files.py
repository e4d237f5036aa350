"""Files that are either whole or not there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path, *, synced: bool = True) -> Iterator[Path]:
    """A path beside `path` to write to; on leaving, the file takes the place of `path`.

    If the block raises, `path` stays as it was.

    Args:
        synced: to disk before that, so that it outlives a loss of power; takes milliseconds.
    """
    path = Path(os.path.realpath(path))  # a link stays, and what it points to is replaced
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield partial
        if synced:
            with partial.open("rb+") as file:
                os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
