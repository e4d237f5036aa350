"""Rows that are similar to their neighbours in time."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from support import table_of

from mlplab.data.cache import RunData
from mlplab.data.leaks.time_order import time_order
from mlplab.data.splits.split import Split
from mlplab.data.splits.splitters import random_split

ROWS = 600
DRAWN = np.random.default_rng(1)
NOISE = DRAWN.normal(size=ROWS)
WALK = np.cumsum(DRAWN.normal(size=ROWS))
DAYS = pl.Series(np.datetime64("2020-01-01", "D") + np.arange(ROWS)).cast(pl.Date)
OTHERS = np.cumsum(DRAWN.normal(size=(2, ROWS)), axis=1)
SERIES = pl.DataFrame({"a": NOISE, "day": DAYS, "y": WALK})


def warnings_of(rows: pl.DataFrame) -> list[str]:
    table = table_of(rows)
    return time_order(table, random_split(table.rows, val=0.15, test=0.15, seed=0))


CLASSES = pl.when(pl.col("y") > 0).then(pl.lit("up")).otherwise(pl.lit("down"))
IN_TIME = {
    "dates": (SERIES, "day"),
    "shuffled": (SERIES.sample(fraction=1, shuffle=True, seed=0), "day"),
    "odd name": (SERIES.rename({"day": "sold, on"}), "sold, on"),
    "classes": (SERIES.with_columns(y=CLASSES), "day"),
    "numbers": (SERIES.with_columns(day=1990 + pl.int_range(ROWS) / 12), "day"),
    "years that repeat": (SERIES.with_columns(year=pl.int_range(ROWS) // 2, day=None), "year"),
    "no time": (SERIES.with_columns(day=pl.Series(OTHERS[0]), b=pl.Series(OTHERS[1])), ""),
}


@pytest.mark.parametrize(("rows", "named"), IN_TIME.values(), ids=IN_TIME)
def test_neighbours_in_time_are_similar(rows: pl.DataFrame, named: str) -> None:
    [warning] = warnings_of(rows)
    assert (f"order of '{named}'" if named else "file") in warning
    remedy = f"""'data.split.time="{named}"'""" if named else "data.split.time=NAME"
    assert warning.endswith(f"data/split=time {remedy}")
    assert ("; to score later rows: data/split" in warning) == bool(named)


GROUPS = pl.int_range(ROWS) // 20
OTHERWISE = {
    "noise": SERIES.with_columns(y=pl.Series(NOISE[::-1])),
    "sorted by the target": SERIES.with_columns(y=pl.Series(np.sort(WALK)), day=None),
    "sorted by groups": SERIES.with_columns(height=GROUPS, y=GROUPS % 7 + 0.01 * NOISE, day=None),
    "sorted by an input": SERIES.sort("a").with_columns(
        y=pl.col("a") + pl.Series(0.3 * NOISE[::-1]), day=None
    ),
    "explained": SERIES.with_columns(y=pl.col("a") + 0.001 * pl.col("y")),
}


@pytest.mark.parametrize("rows", OTHERWISE.values(), ids=OTHERWISE)
def test_tables_that_are_not_in_the_order_of_time(rows: pl.DataFrame) -> None:
    assert warnings_of(rows) == []


def test_only_sets_that_lie_among_each_other_count() -> None:
    table = table_of(SERIES)
    rows = np.random.default_rng(0).permutation(ROWS)
    mixed = Split(*(np.sort(part) for part in np.split(rows, [420, 510])))
    assert len(RunData(table, mixed).time_order) == 1
    assert RunData(table, Split(*np.split(np.arange(ROWS), [420, 510]))).time_order == []
    by_group = replace(table, split_columns={"group": np.zeros(ROWS)})
    assert RunData(by_group, mixed).time_order == []
    few_with_weight = SERIES.with_columns(w=(pl.int_range(ROWS) % 13 == 0).cast(pl.Float64))
    assert time_order(table_of(few_with_weight, weight="w"), mixed) == []
