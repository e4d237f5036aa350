"""Columns that may contain the target."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn import datasets
from support import config, table_of

from mlplab.data.cache import DataCache
from mlplab.data.leaks.target_leaks import target_leaks
from mlplab.data.splits.split import Split
from mlplab.data.splits.splitters import random_split
from mlplab.data.table import Table

ROWS = 600


def frame(seed: int = 0) -> pl.DataFrame:
    a, b, c = np.random.default_rng(seed).normal(size=(3, ROWS))
    return pl.DataFrame({"a": a, "b": b, "c": c, "y": a * b + np.exp(c)})


def warnings_of(table: Table, seed: int = 0) -> list[str]:
    return target_leaks(table, random_split(table.rows, val=0.15, test=0.15, seed=seed))


Y = pl.col("y")
LABELS = pl.when(pl.int_range(pl.len()) % 3 == 0).then(pl.lit("no")).otherwise(pl.lit("yes"))


@pytest.mark.parametrize("copy", [-(Y**3), Y + 1e-3 * pl.col("a"), 1e9 + Y.round(3)])
def test_a_column_that_contains_the_target(copy: pl.Expr) -> None:
    [warning] = warnings_of(table_of(frame().with_columns(z=copy)))
    assert warning.startswith("column 'z' alone predicts 'y' almost perfectly")
    assert warning.endswith("drop it: data.columns.z=drop")


@pytest.mark.parametrize("copy", [Y, Y + "!", Y == "no", (Y == "no") * 5.0 + 0.1 * pl.col("a")])
def test_a_column_that_contains_a_class(copy: pl.Expr) -> None:
    rows = frame().with_columns(y=LABELS).with_columns(z=copy)
    [warning] = warnings_of(table_of(rows))
    assert warning.startswith("column 'z' alone predicts 'y'")


LEFT, ROW = pl.col("y") == "no", pl.int_range(pl.len())
BY_MISSING = "% of the loss, by which of its cells are missing"


@pytest.mark.parametrize(
    ("copy", "how"),
    [
        (pl.when(LEFT & (ROW % 33 > 0)).then("a"), BY_MISSING),
        (pl.when(LEFT ^ (ROW % 60 == 0)).then(1).otherwise(2), "and removes 9"),
        (-3.4 * LEFT - pl.col("a"), "and ranks its classes with AUROC 0.9"),
    ],
)
def test_a_column_that_nearly_contains_a_class(copy: pl.Expr, how: str) -> None:
    rows = frame().with_columns(y=LABELS).with_columns(z=copy)
    [warning] = warnings_of(table_of(rows))
    assert warning.startswith("column 'z' alone predicts 'y' and ")
    assert how in warning


def test_a_column_that_is_a_noisy_copy() -> None:
    noise = pl.int_range(pl.len()) * 0.618 % 1 - 0.5
    [warning] = warnings_of(table_of(frame().with_columns(z=Y + 0.2 * noise)))
    assert warning.startswith("column 'z' alone predicts 'y' and removes 9")
    assert warnings_of(table_of(frame().with_columns(z=Y + 2 * noise))) == []


def test_too_few_rows_of_the_rarer_class_prove_nothing() -> None:
    few, three = (
        pl.when(rare).then(pl.lit("no")).otherwise(pl.lit("yes")) for rare in (ROW % 40 == 0, ROW < 3)
    )
    rows = frame().with_columns(y=few).with_columns(z=3.4 * LEFT + pl.col("a"))
    assert warnings_of(table_of(rows)) == []
    table = table_of(rows.with_columns(y=three))
    assert target_leaks(table, random_split(table.rows[3:], val=0.15, test=0.15, seed=0)) == []


@pytest.mark.parametrize("late", [pl.lit(1.5), pl.lit("a"), pl.date(2024, 1, 1) + pl.duration(days=ROW)])
def test_a_column_without_a_value_in_training_and_validation(late: pl.Expr) -> None:
    rows = frame().with_columns(y=LABELS, late=pl.when(ROW >= ROWS - 30).then(late))
    split = Split(*np.split(np.arange(ROWS), [ROWS - 120, ROWS - 30]))
    assert target_leaks(table_of(rows), split) == []


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
    warnings = warnings_of(table_of(rows, ["y", "z"]))
    named = [warning.partition(" almost")[0] for warning in warnings]
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
