"""Tables too large for memory: converted once into memory-mapped files."""

import json
import logging
import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from mlplab.data.infer.read_table import read_table
from mlplab.data.infer.table_reader import TableReader
from mlplab.data.infer.table_spec import TableSpec
from mlplab.data.io.source import Source
from mlplab.data.schema import Schema
from mlplab.data.table import Table
from mlplab.files import PART

TABLES = Path("outputs/.tables")
"""The folder of all memory-mapped tables; each has a subfolder, named after its source."""

FORMAT = 5
"""Increased when older folders can no longer be read, which the names of new ones then differ from."""

SHARE_OF_FREE_MEMORY = 0.5
"""The share of the free memory that a table may use, unless `data.memory_gib` sets a limit."""

GROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Files with the memory limit of a group of processes (cgroup), on Linux."""

DESCRIPTION = "table.json"

log = logging.getLogger(__name__)


def table_of(
    source: Source,
    spec: TableSpec,
    dtype: type[np.floating],
    memory: float | None,
    progress: Callable[[int], None],
) -> Table:
    """The rows of a source as a table: in memory, or memory-mapped if that would exceed the limit.

    The limit is `memory` bytes, or half of the free memory. Files of an earlier run are reused as long as the
    source has not changed. `progress` is called with the number of rows read so far.

    Raises:
        UserError: with all faults of the table.
    """
    if not source.paths:  # a frame, which is in memory already
        return read_table(TableReader(source, spec, dtype, progress=progress))
    limit = SHARE_OF_FREE_MEMORY * free_memory() if memory is None else memory
    folder = TABLES / _key(source, spec, dtype)
    if (saved := _load(folder)) and saved.x.nbytes > limit:
        log.info("%s: using %s, written by an earlier run", source.where, folder)
        return saved
    _remove_partial(folder)
    partial = folder.with_name(f".{folder.name}.{os.getpid()}{PART}")
    matrices: dict[str, np.memmap[Any, Any]] = {}

    def allocate(name: str, shape: tuple[int, int], dtype: type[np.floating]) -> np.ndarray:
        """An `Allocate`. If the features (the first matrix) are in a file, so are all others."""
        size = shape[0] * shape[1] * np.dtype(dtype).itemsize
        if not size or (not matrices and (name != "features" or size <= limit)):
            return np.empty(shape, dtype)
        if not matrices:
            log.info("too large for memory: writing it once to %s", folder)
        partial.mkdir(parents=True, exist_ok=True)
        matrices[name] = np.memmap(partial / name, dtype, "w+", shape=shape)
        return matrices[name]

    try:  # leaves behind either a complete folder or nothing
        table = read_table(TableReader(source, spec, dtype, allocate, progress))
        if not matrices:
            return table
        _save(table, matrices, partial)
        shutil.rmtree(folder, ignore_errors=True)  # it could not be loaded
        with suppress(OSError):  # another process was faster
            partial.rename(folder)
    finally:
        matrices.clear()
        shutil.rmtree(partial, ignore_errors=True)
    loaded = _load(folder)
    assert loaded is not None
    return loaded


def free_memory() -> int:
    """Free bytes of the machine, or within the limit of this process's group if that is less."""
    limits = []
    for path in GROUP_LIMITS:
        with suppress(OSError, ValueError):
            limits.append(int(Path(path).read_text(encoding="ascii")) - psutil.Process().memory_info().rss)
    return max(0, min([psutil.virtual_memory().available, *limits]))


def _remove_partial(folder: Path) -> None:
    """Removes what processes that were killed have left behind."""
    for partial in folder.parent.glob(f".{folder.name}.*{PART}"):
        if not psutil.pid_exists(int(partial.name.split(".")[-2])):
            shutil.rmtree(partial, ignore_errors=True)


def _save(table: Table, matrices: Mapping[str, np.memmap[Any, Any]], folder: Path) -> None:
    """Completes a folder of matrices; its files are cut to the size of the table."""
    shapes = {
        "features": (*table.x.shape, table.x.dtype.name),
        "others": (len(table.x), matrices["others"].shape[1], matrices["others"].dtype.name),
    }
    of_table = {"source": table.source, "schema": table.schema.plain(), **shapes}
    content = of_table | {"split_roles": [*table.split_columns], "sha256": table.fingerprint["sha256"]}
    for name, matrix in matrices.items():
        matrix.flush()
        rows, columns, dtype = shapes[name]
        os.truncate(folder / name, rows * columns * np.dtype(dtype).itemsize)
    (folder / DESCRIPTION).write_text(json.dumps(content), encoding="utf-8")
    for path in folder.iterdir():
        with path.open("rb+") as file:
            os.fsync(file.fileno())


def _load(folder: Path) -> Table | None:
    """The table in a folder; None if there is none, or it is incomplete.

    Changes to its matrices do not change the files.
    """
    try:
        content = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        files = ((folder / name, *content[name]) for name in ("features", "others"))
        x, others = (np.memmap(path, dtype, "c", shape=tuple(shape)) for path, *shape, dtype in files)
        roles, schema = list(map(str, content["split_roles"])), Schema.from_plain(content["schema"])
        table = Table.of(content["source"], schema, x, others, roles)
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return replace(table, memmapped=True, sha256=str(content["sha256"]))


def _key(source: Source, spec: TableSpec, dtype: type[np.floating]) -> str:
    """A name that changes whenever the table may have changed.

    A file's `ctime` is set by the system alone: unlike `mtime`, no program can set it back.
    """
    status = [(path.resolve(), path.stat()) for path in source.paths]
    files = [(str(path), of.st_size, of.st_mtime_ns, of.st_ctime_ns, of.st_ino) for path, of in status]
    content = repr((FORMAT, files, source.dialect, asdict(spec), np.dtype(dtype).name))
    return f"{source.paths[0].stem}-{sha256(content.encode()).hexdigest()[:16]}"
