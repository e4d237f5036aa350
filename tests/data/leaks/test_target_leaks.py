import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn import datasets
from support import config, table_of

from mlplab.data.cache import DataCache, RunData
from mlplab.data.leaks.target_leaks import target_leaks, time_order
from mlplab.data.splits.split import Split
from mlplab.data.splits.splitters import random_split
from mlplab.data.table import Table

ROWS = 600


def frame() -> pl.DataFrame:
    a, b, c = np.random.default_rng(0).normal(size=(3, ROWS))
    return pl.DataFrame({"a": a, "b": b, "c": c, "y": a * b + np.exp(c)})


def warnings_of(table: Table, check: Callable[[Table, Split], list[str]] = target_leaks) -> list[str]:
    return check(table, random_split(table.rows, val=0.15, test=0.15, seed=0))


Y = pl.col("y")
LABELS = pl.when(pl.int_range(pl.len()) % 3 == 0).then(pl.lit("no")).otherwise(pl.lit("yes"))
LEFT, ROW = pl.col("y") == "no", pl.int_range(pl.len())
A, NOISE = pl.col("a"), ROW * 0.618 % 1 - 0.5
BY_MISSING = "and removes [0-9]+% of the loss, by which of its cells are missing"


@pytest.mark.parametrize(
    ("target", "copy", "how"),
    [
        *((Y, copy, "almost perfectly") for copy in (-(Y**3), Y + 1e-3 * A, 1e9 + Y.round(3))),
        *((LABELS, copy, "almost perfectly") for copy in (Y, Y + "!", LEFT, LEFT * 5.0 + 0.1 * A)),
        (LABELS, pl.when(LEFT & (ROW % 33 > 0)).then("a"), BY_MISSING),
        (LABELS, pl.when(LEFT ^ (ROW % 60 == 0)).then(1).otherwise(2), "and removes 9"),
        (LABELS, -3.4 * LEFT - A, "and ranks its classes with AUROC 0.9"),
        (Y, Y + 0.2 * NOISE, "and removes 9"),
        (Y, Y + 2 * NOISE, ""),
    ],
)
def test_a_column_that_contains_the_target_or_nearly_does(target: pl.Expr, copy: pl.Expr, how: str) -> None:
    warnings = warnings_of(table_of(frame().with_columns(y=target).with_columns(z=copy)))
    assert len(warnings) == bool(how)
    for warning in warnings:
        assert re.match(f"column 'z' alone predicts 'y' {how}", warning)
        assert warning.endswith("drop it: data.columns.z=drop")


def test_too_few_rows_of_the_rarer_class_prove_nothing() -> None:
    few, three = (pl.when(no).then(pl.lit("no")).otherwise(pl.lit("yes")) for no in (ROW % 40 == 0, ROW < 3))
    rows = frame().with_columns(y=few).with_columns(z=3.4 * LEFT + pl.col("a"))
    assert warnings_of(table_of(rows)) == []
    table = table_of(rows.with_columns(y=three))
    assert target_leaks(table, random_split(table.rows[3:], val=0.15, test=0.15, seed=0)) == []


@pytest.mark.parametrize("late", [pl.lit(1.5), pl.lit("a"), pl.date(2024, 1, 1) + pl.duration(days=ROW)])
def test_a_column_without_a_value_in_training_and_validation(late: pl.Expr) -> None:
    rows = frame().with_columns(y=LABELS, late=pl.when(ROW >= ROWS - 30).then(late))
    assert target_leaks(table_of(rows), Split(*np.split(np.arange(ROWS), [ROWS - 120, ROWS - 30]))) == []


def test_columns_whose_sum_is_the_target() -> None:
    rows = frame().with_columns(part=Y - 2 * pl.col("a"), nothing=None).fill_null(0.0)
    [warning] = warnings_of(table_of(rows))
    assert warning.startswith("'y' is almost exactly a weighted sum of 'part', 'a'; ")
    assert warning.endswith("drop one: data.columns.part=drop")


@pytest.mark.parametrize(("rare", "classes", "rows"), [(4, 3, 100), (0, 300, 3000)])
def test_copies_of_rare_and_of_many_classes(rare: int, classes: int, rows: int) -> None:
    source = np.random.default_rng(0)
    numbers = source.integers(rare > 0, classes, rows)
    numbers[:rare] = 0
    frame = pl.DataFrame({"a": source.normal(size=rows), "n": numbers}).cast({"n": pl.String})
    [warning] = warnings_of(table_of(frame.select("a", y="c" + pl.col("n"), copy="z" + pl.col("n"))))
    assert warning.startswith("column 'copy' alone predicts 'y'")


def test_each_of_several_targets_is_named_but_no_single_input() -> None:
    rows = frame().with_columns(z=2 * Y, copy=Y)
    named = [warning.partition(" almost")[0] for warning in warnings_of(table_of(rows, ["y", "z"]))]
    assert named == [f"column 'copy' alone predicts '{name}'" for name in "yz"]
    assert warnings_of(table_of(rows.select("copy", "y"))) == []


def test_targets_that_rise_with_the_time_of_the_split(tmp_path: Path) -> None:
    t, a = np.arange(ROWS), frame()["a"]
    frame().with_columns(t=t, y=t + 30 * a, b=np.exp(t / 99 + 30 * a / 99)).write_csv(tmp_path / "t.csv")
    words = ("data=csv", f"data.path={tmp_path}/t.csv", "data/split=time", "data.split.time=t")
    [warning] = DataCache().data(config(*words, "data.target=y")).target_leaks
    assert warning.startswith("column 'b' alone predicts 'y'")


def test_only_training_and_validation_rows_with_weight_count() -> None:
    rows = frame()
    split = random_split(np.arange(ROWS), val=0.15, test=0.15, seed=0)
    spoiled, weights = rows["y"].to_numpy(writable=True), np.ones(ROWS)
    spoiled[split.test] = spoiled[split.train[:20]] = 0
    weights[split.train[:20]] = 0
    assert len(target_leaks(table_of(rows.with_columns(z=spoiled, w=weights), weight="w"), split)) == 1
    spoiled[split.val] = 0
    assert target_leaks(table_of(rows.with_columns(z=spoiled, w=weights), weight="w"), split) == []


@pytest.mark.parametrize("name", ["diabetes", "iris", "breast_cancer"])
def test_tables_without_a_leak(name: str) -> None:
    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    target = pl.Series(y) if name == "diabetes" else pl.Series(y).cast(pl.String) + "."
    assert warnings_of(table_of(pl.DataFrame(x).with_columns(y=target))) == []


DRAWN = np.random.default_rng(1)
DRIFT = DRAWN.normal(size=ROWS)
WALK = np.cumsum(DRAWN.normal(size=ROWS))
DAYS = pl.Series(np.datetime64("2020-01-01", "D") + np.arange(ROWS)).cast(pl.Date)
OTHERS = np.cumsum(DRAWN.normal(size=(2, ROWS)), axis=1)
SERIES = pl.DataFrame({"a": DRIFT, "day": DAYS, "y": WALK})
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
    [warning] = warnings_of(table_of(rows), time_order)
    assert (f"order of '{named}'" if named else "file") in warning
    remedy = f"""'data.split.time="{named}"'""" if named else "data.split.time=NAME"
    assert warning.endswith(f"data/split=time {remedy}")
    premise = f"'{named}' is when rows" if named else "the file is in the order in which rows"
    assert f"; if {premise} were observed" in warning
    assert ("add a column NAME" in warning) != bool(named)


GROUPS = pl.int_range(ROWS) // 20
OTHERWISE = {
    "noise": SERIES.with_columns(y=pl.Series(DRIFT[::-1])),
    "sorted by the target": SERIES.with_columns(y=pl.Series(np.sort(WALK)), day=None),
    "sorted by groups": SERIES.with_columns(height=GROUPS, y=GROUPS % 7 + 0.01 * DRIFT, day=None),
    "sorted by an input": SERIES.sort("a").with_columns(y=A + pl.Series(0.3 * DRIFT[::-1]), day=None),
    "explained": SERIES.with_columns(y=pl.col("a") + 0.001 * pl.col("y")),
}


@pytest.mark.parametrize("rows", OTHERWISE.values(), ids=OTHERWISE)
def test_tables_that_are_not_in_the_order_of_time(rows: pl.DataFrame) -> None:
    assert warnings_of(table_of(rows), time_order) == []


def test_only_sets_that_lie_among_each_other_count() -> None:
    table = table_of(SERIES)
    rows = np.random.default_rng(0).permutation(ROWS)
    mixed = Split(*(np.sort(part) for part in np.split(rows, [420, 510])))
    assert len(RunData(table, mixed).time_order) == 1
    assert RunData(table, Split(*np.split(np.arange(ROWS), [420, 510]))).time_order == []
    assert RunData(replace(table, split_columns={"group": np.zeros(ROWS)}), mixed).time_order == []
    few_with_weight = SERIES.with_columns(w=(pl.int_range(ROWS) % 13 == 0).cast(pl.Float64))
    assert time_order(table_of(few_with_weight, weight="w"), mixed) == []
