"""Tables that take more memory than they may: converted once into a file, from which they are trained."""

import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import psutil

from mlplab.data.infer.read_table import in_memory, read_table
from mlplab.data.infer.table_spec import TableSpec
from mlplab.data.io.source import Source
from mlplab.data.schema import Schema
from mlplab.data.table import Table
from mlplab.files import PART

TABLES = Path("outputs/.tables")
"""Where they lie, a folder each, named by what it was made from."""

FORMAT = 1
"""Changes when older ones can no longer be read."""

SHARE_OF_FREE_MEMORY = 0.5
"""That a table may take, unless `data.memory_gib` says how much."""

GROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""What a group of processes may take, on Linux."""

DESCRIPTION = "table.json"

log = logging.getLogger(__name__)


def table_of(
    source: Source,
    spec: TableSpec,
    dtype: type[np.floating],
    memory: float | None,
    progress: Callable[[int], None],
) -> Table:
    """The rows of a source: in memory, or in a file if they take more of it than they may.

    A file that was made before serves again, as long as its source has not changed.

    Args:
        memory: bytes that it may take; None: half of what is free.

    Raises:
        UserError: with all that is wrong.
    """
    if not source.paths:  # a frame, which is in memory already
        return read_table(source, spec, dtype, progress=progress)
    budget = SHARE_OF_FREE_MEMORY * free_memory() if memory is None else memory
    folder = TABLES / _key(source, spec, dtype)
    if (made := _load(folder)) and made.x.nbytes > budget:
        log.info("%s: from %s, made before", source.where, folder)
        return made
    with _Store(folder, budget).open() as store:
        table = read_table(source, spec, dtype, store.allocate, progress)
        if not store.matrices:
            return table
        store.keep(table)
    stored = _load(folder)
    assert stored is not None
    return stored


def free_memory() -> int:
    """Bytes that may be taken, as far as the machine and the limit of this process's group tell."""
    limits = []
    for path in GROUP_LIMITS:
        with suppress(OSError, ValueError):
            limits.append(int(Path(path).read_text(encoding="ascii")) - psutil.Process().memory_info().rss)
    return max(0, min([psutil.virtual_memory().available, *limits]))


class _Store:
    """Memory for a table: of the process, or a file's in a folder that is being made."""

    def __init__(self, folder: Path, budget: float) -> None:
        self.folder, self.budget = folder, budget
        self.partial = folder.with_name(f".{folder.name}.{os.getpid()}{PART}")
        self.matrices: dict[str, np.ndarray] = {}

    @contextmanager
    def open(self) -> Iterator["_Store"]:
        """Leaves nothing behind but a whole folder."""
        for left in self.folder.parent.glob(f".{self.folder.name}.*{PART}"):
            if not psutil.pid_exists(int(left.name.split(".")[-2])):  # it was killed
                shutil.rmtree(left, ignore_errors=True)
        try:
            yield self
        finally:
            self.matrices.clear()
            shutil.rmtree(self.partial, ignore_errors=True)

    def allocate(self, name: str, shape: tuple[int, int], dtype: type[np.floating]) -> np.ndarray:
        """As `reading.Allocate`; features, which come first and are the most, take the others with them."""
        size = shape[0] * shape[1] * np.dtype(dtype).itemsize
        if not size or not (self.matrices or size > self.budget):
            return in_memory(name, shape, dtype)
        if not self.matrices:
            log.info("too large for memory: %s is made, once", self.folder)
        self.partial.mkdir(parents=True, exist_ok=True)
        self.matrices[name] = np.memmap(self.partial / name, dtype, "w+", shape=shape)
        return self.matrices[name]

    def keep(self, table: Table) -> None:
        """Makes the folder what was allocated, cut to what the table takes of it."""
        others = self.matrices["others"]
        shapes = {
            "features": (*table.x.shape, table.x.dtype.name),
            "others": (len(table.x), others.shape[1], others.dtype.name),
        }
        content = {
            "format": FORMAT,
            "source": table.source,
            "schema": table.schema.plain(),
            **shapes,
            "keys": [[role, list(key.names)] for role, key in table.keys.items()],
            "sha256": table.fingerprint()["sha256"],
        }
        for name, matrix in self.matrices.items():
            assert isinstance(matrix, np.memmap)
            matrix.flush()
            rows, columns, dtype = shapes[name]
            os.truncate(self.partial / name, rows * columns * np.dtype(dtype).itemsize)
        (self.partial / DESCRIPTION).write_text(json.dumps(content), encoding="utf-8")
        for path in self.partial.iterdir():
            with path.open("rb+") as file:
                os.fsync(file.fileno())
        shutil.rmtree(self.folder, ignore_errors=True)  # one that cannot be read
        with suppress(OSError):  # another process was faster
            self.partial.rename(self.folder)


def _load(folder: Path) -> Table | None:
    """The table of a folder; None if there is none, or it is none of this version."""
    try:
        content = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            return None
        x, others = (_mapped(folder / name, *content[name]) for name in ("features", "others"))
        keys = [(str(role), tuple(names)) for role, names in content["keys"]]
        schema = Schema.from_plain(content["schema"])
        table = Table.of(content["source"], schema, x, others, keys, stored=True)
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return replace(table, sha256=str(content["sha256"]))


def _mapped(path: Path, rows: int, columns: int, dtype: str) -> np.ndarray:
    """A matrix in a file; what is written to it stays in memory.

    Raises:
        ValueError: if the file is of another size.
    """
    if path.stat().st_size != rows * columns * np.dtype(dtype).itemsize:
        raise ValueError(path)
    return np.memmap(path, dtype, "c", shape=(rows, columns))


def _key(source: Source, spec: TableSpec, dtype: type[np.floating]) -> str:
    """Another one whenever the table could be another.

    The time of a file's last change (`ctime`) is the system's own: unlike `mtime`, nothing sets it back.
    """
    found = [(path.resolve(), path.stat()) for path in source.paths]
    files = [(str(path), of.st_size, of.st_mtime_ns, of.st_ctime_ns, of.st_ino) for path, of in found]
    content = repr((FORMAT, files, source.dialect, asdict(spec), np.dtype(dtype).name))
    return f"{source.paths[0].stem}-{sha256(content.encode()).hexdigest()[:16]}"
