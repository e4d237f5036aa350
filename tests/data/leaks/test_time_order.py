"""Rows that are similar to their neighbours in time."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from support import config, table_of

from mlplab.data.cache import DataCache
from mlplab.data.leaks.time_order import time_order
from mlplab.data.splits.splitters import random_split
from mlplab.data.table import Table

ROWS = 600
DRAWN = np.random.default_rng(1)
NOISE = DRAWN.normal(size=ROWS)
WALK = np.cumsum(DRAWN.normal(size=ROWS))
DAYS = pl.Series(np.datetime64("2020-01-01", "D") + np.arange(ROWS)).cast(pl.Date)
OTHERS = np.cumsum(DRAWN.normal(size=(2, ROWS)), axis=1)
SERIES = pl.DataFrame({"a": NOISE, "day": DAYS, "y": WALK})


def warnings_of(rows: pl.DataFrame, **arguments: str) -> list[str]:
    table: Table = table_of(rows, **arguments)  # type: ignore[arg-type]
    return time_order(table, random_split(table.rows, val=0.15, test=0.15, seed=0))


@pytest.mark.parametrize(
    ("rows", "named", "remedy"),
    [
        (SERIES, "order of 'day'", "data.split.time=day"),
        (SERIES.sample(fraction=1, shuffle=True, seed=0), "order of 'day'", "data.split.time=day"),
        (SERIES.rename({"day": "sold, on"}), "order of 'sold, on'", "'data.split.time=\"sold, on\"'"),
        (
            SERIES.with_columns(y=pl.when(pl.col("y") > 0).then(pl.lit("up")).otherwise(pl.lit("down"))),
            "order of 'day'",
            "data.split.time=day",
        ),
        (SERIES.with_columns(day=1990 + pl.int_range(ROWS) / 12), "order of 'day'", "data.split.time=day"),
        (
            SERIES.with_columns(year=pl.int_range(ROWS) // 2, day=None),
            "order of 'year'",
            "data.split.time=year",
        ),
        (
            SERIES.with_columns(day=pl.Series(OTHERS[0]), b=pl.Series(OTHERS[1])),
            "file",
            "data.split.time=COLUMN",
        ),
    ],
    ids=["dates", "shuffled", "odd name", "classes", "numbers", "years that repeat", "no time"],
)
def test_neighbours_in_time_are_similar(rows: pl.DataFrame, named: str, remedy: str) -> None:
    [warning] = warnings_of(rows)
    assert named in warning
    assert warning.endswith(f"to score later rows: data/split=time {remedy}")


@pytest.mark.parametrize(
    "rows",
    [
        SERIES.with_columns(y=pl.Series(NOISE[::-1])),
        SERIES.with_columns(y=pl.Series(np.sort(WALK)), day=None),
        SERIES.with_columns(
            height=pl.int_range(ROWS) // 20, y=pl.int_range(ROWS) // 20 % 7 + 0.01 * NOISE, day=None
        ),
        SERIES.sort("a").with_columns(y=pl.col("a") + pl.Series(0.3 * NOISE[::-1]), day=None),
        SERIES.with_columns(y=pl.col("a") + 0.001 * pl.col("y")),
        SERIES[:40],
    ],
    ids=["noise", "sorted by the target", "sorted by groups", "sorted by an input", "explained", "few rows"],
)
def test_tables_that_are_not_in_the_order_of_time(rows: pl.DataFrame) -> None:
    assert warnings_of(rows) == []


def test_only_sets_that_lie_among_each_other_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    SERIES.write_csv("t.csv")
    Path("parts.txt").write_text("train\n" * 420 + "val\n" * 90 + "test\n" * 90)
    table = ("data=csv", "data.path=t.csv", "data.target=y")
    splits = (("random",), ("time", "data.split.time=day"), ("file", "data.split.path=parts.txt"))
    found = [
        DataCache().data(config(*table, f"data/split={name}", *keys)).time_order for name, *keys in splits
    ]
    assert [len(warnings) for warnings in found] == [1, 0, 0]
    spoiled = SERIES.with_columns(w=pl.Series((np.arange(ROWS) % 13 == 0) * 1.0))
    assert warnings_of(spoiled, weight="w") == []  # too few rows with weight
