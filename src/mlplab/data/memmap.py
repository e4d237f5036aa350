"""Memory for tables: where there is too little, matrices are temporary files that are mapped into memory."""

import tempfile
from contextlib import suppress
from math import prod
from pathlib import Path

import numpy as np
import psutil

FOLDER = Path("outputs")
"""The folder of temporary files. They have no name, and are gone when the process ends."""

SHARE_OF_FREE_MEMORY = 0.5
"""The share of the free memory that a matrix may use, unless `data.memory_gib` sets a limit."""

GROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Files with the memory limit of a group of processes (cgroup), on Linux."""


def allocated(
    shape: tuple[int, int], dtype: type[np.floating], *, limit: float | None = None
) -> np.ndarray[tuple[int, int], np.dtype[np.floating]]:
    """A matrix without certain values: in memory, or memory-mapped if it is larger than `limit` bytes.

    The limit is half of the free memory by default.
    """
    limit = SHARE_OF_FREE_MEMORY * free_memory() if limit is None else limit
    if prod(shape) * np.dtype(dtype).itemsize <= limit:
        return np.empty(shape, dtype)
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryFile(dir=FOLDER) as file:
        return np.memmap(file, dtype, "w+", shape=shape)


def free_memory() -> int:
    """Free bytes of the machine, or within the limit of this process's group if that is less."""
    limits = []
    for path in GROUP_LIMITS:
        with suppress(OSError, ValueError):
            limits.append(int(Path(path).read_text(encoding="ascii")) - psutil.Process().memory_info().rss)
    return max(0, min([psutil.virtual_memory().available, *limits]))
