"""Loads the table that a configuration names; if it is too large for memory, into a file mapped into memory.

Imports no torch.
"""

import logging
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from importlib.resources import as_file, files
from math import prod
from pathlib import Path

import numpy as np
import polars as pl
import psutil

from mlplab import config
from mlplab.data import synthetic
from mlplab.data.cells.parse import parse_str
from mlplab.data.frames import FRAME
from mlplab.data.infer.block_reader import TableReader
from mlplab.data.infer.infer_table import read_table
from mlplab.data.infer.table_spec import Role, TableSpec
from mlplab.data.io.source import Source, opened
from mlplab.data.table import Table
from mlplab.errors import listed, refusal

Data = config.BundledData | config.CsvData | config.FrameData | config.SyntheticData

log = logging.getLogger(__name__)

TARGET = "target"  # the target column of tables that ship with the package
FOLDER = Path("outputs")  # of temporary files, which have no name, and are gone when the process ends


def table_key(run: config.TrainConfig) -> tuple[object, ...]:
    """A key of everything that a run's table depends on."""
    source = run.data.model_dump_json(exclude={"split", "batch_size", "class_weights", "fingerprint"})
    return source, repr(table_spec(run)), table_dtype(run)


def load_table(
    run: config.TrainConfig,
    frame: pl.DataFrame | None = None,
    offsets: Mapping[str, float] | None = None,
) -> Table:
    """Reads the table of a run, whose frame in memory is given if it has one.

    Args:
        offsets: of its columns, as in `TableSpec`.

    Raises:
        UserError: with all faults of the table, or if there is no target.
    """
    limit = gib * 2**30 if (gib := getattr(run.data, "memory_gib", None)) else None
    with opened_source(run.data, frame) as source:
        if isinstance(run.data, config.UserTable) and not run.data.target:
            remedy = f"name the column to predict, data.target=…, one of: {listed(source.names, 20)}"
            raise refusal("is missing", "data.target", remedy)
        allocate = partial(allocated, limit=limit) if source.paths else np.empty  # others are in memory
        spec = replace(table_spec(run), offsets=offsets)
        table = read_table(TableReader(source, spec, table_dtype(run), allocate))
    if table.memmapped:
        log.info("%s: too large for memory, and therefore in a temporary file in %s", table.source, FOLDER)
    return table


@contextmanager
def opened_source(data: Data, frame: pl.DataFrame | None = None) -> Iterator[Source]:
    """Opens the table of a data section, whose frame in memory is given if it has one.

    Raises:
        UserError: if it cannot be opened, or there is no frame.
    """
    match data:
        case config.FrameData():
            if frame is None:
                remedy = "pass it from Python, or a file: data.path=…"
                raise refusal("is a frame in memory", "data=frame", remedy)
            yield Source.of_frame(FRAME, frame)
        case config.BundledData(name="digits"):
            from sklearn.datasets import load_digits  # imported here since it takes a second

            images = load_digits()  # see `digits.md`
            pixels = pl.DataFrame(images.data, schema=images.feature_names)
            yield Source.of_frame("digits", pixels.with_columns(target=images.target))
        case config.BundledData(name=name):
            with as_file(files("mlplab.data") / f"{name}.csv") as path, opened(path, where=name) as source:
                yield source
        case config.CsvData():
            with opened(data.path, data) as source:
                yield source
        case config.SyntheticData():
            frame = synthetic.draw(
                data.function, rows=data.rows, features=data.features, noise=data.noise, seed=data.seed
            )
            yield Source.of_frame(f"synthetic {data.function}", frame)


def csv_format(data: Data) -> config.CsvFormat:
    """The format of CSV files, as far as the configuration says it."""
    return data if isinstance(data, config.CsvFormat) else config.DETECT


def table_spec(run: config.TrainConfig) -> TableSpec:
    """The columns and options with which a run reads its table."""
    data, raw = run.data, run.model.preprocessing.name == "none"
    split_roles: tuple[Role, ...] = ("group", "time")
    by_split = [(name, role) for role in split_roles if (name := getattr(data.split, role, None))]
    if not isinstance(data, config.UserTable):
        return TableSpec(((TARGET, "target"), *by_split), raw=raw, task=run.task)
    roles: list[tuple[str, Role]] = [(name, "target") for name in data.target]
    roles += [(data.weight, "weight")] if data.weight else []
    listed = {name: kind for name, kind in data.columns.items() if not isinstance(kind, str)}
    levels = ((name, parse_str(pl.Series(texts), ())) for name, texts in (data.categories | listed).items())
    return TableSpec(
        (*roles, *by_split),
        declared={name: kind if isinstance(kind, str) else "ordinal" for name, kind in data.columns.items()},
        levels={name: tuple(texts.drop_nulls()) for name, texts in levels},
        na_values=tuple(data.na_values_of_all),
        na_values_by_column={name: tuple(texts) for name, texts in data.na_values_by_column.items()},
        raw=raw,
        drop_missing_targets=data.missing_target == "drop",
        task=run.task,
        positive=data.positive,
    )


def table_dtype(run: config.TrainConfig) -> type[np.floating]:
    """The type of a run's features."""
    return np.float64 if run.trainer.precision == 64 else np.float32


def allocated(
    shape: tuple[int, int], dtype: type[np.floating], *, limit: float | None = None
) -> np.ndarray[tuple[int, int], np.dtype[np.floating]]:
    """A matrix without certain values: in memory, or memory-mapped if it is larger than `limit` bytes.

    The limit is half of the free memory by default.
    """
    limit = free_memory() / 2 if limit is None else limit
    if prod(shape) * np.dtype(dtype).itemsize <= limit:
        return np.empty(shape, dtype)
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryFile(dir=FOLDER) as file:
        return np.memmap(file, dtype, "w+", shape=shape)


def free_memory() -> int:
    """Free bytes of the machine, or within the limit of this process's group if that is less."""
    limits = []
    for name in ("memory.max", "memory/memory.limit_in_bytes"):  # of Linux's cgroups
        with suppress(OSError, ValueError):
            limit = int(Path("/sys/fs/cgroup", name).read_text(encoding="ascii"))
            limits.append(limit - psutil.Process().memory_info().rss)
    return max(0, min([psutil.virtual_memory().available, *limits]))
