"""Processes that may take no more than so much memory."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

GROUPS = (
    Path("/sys/fs/cgroup/memory", f"mlplab-{os.getpid()}", "memory.limit_in_bytes"),
    Path("/sys/fs/cgroup", f"mlplab-{os.getpid()}", "memory.max"),
)
"""The limit of a group of processes of ours, in the two versions of Linux's groups."""

JOIN = 'echo $$ > "$0" && exec "$@"'


@contextmanager
def capped(size: int) -> Iterator[Sequence[str]]:
    """Gives what stands before a command whose process is to take no more than so many bytes; nothing where
    no group can be made, which takes a right to.

    Pages of files that it is the first to read count, and are given back when others are needed; swap does
    not count. A process's own limits, which take no right, would count a mapped file whole.
    """
    for limit in GROUPS:
        try:
            limit.parent.mkdir()
        except OSError:
            continue
        try:
            if limit.exists():
                limit.write_text(str(size), encoding="ascii")
                yield ["sh", "-c", JOIN, str(limit.with_name("cgroup.procs"))]
                return
        finally:
            limit.parent.rmdir()
    yield []
