"""How a table is split, as its configuration and its target decide."""

from typing import Literal

import numpy as np
import polars as pl
import pytest
from support import config, table_of

from mlplab.data.infer.read_table import read_table
from mlplab.data.infer.table_reader import TableReader
from mlplab.data.infer.table_spec import Role, TableSpec
from mlplab.data.io.source import Source
from mlplab.data.load_table import table_spec
from mlplab.data.splits.make_split import make_split
from mlplab.data.splits.split import Split
from mlplab.data.table import Table

ROWS = 200
FRAME = pl.DataFrame(
    {
        "x": np.arange(ROWS) / 7,
        "group": [f"g{row % 20}" for row in range(ROWS)],
        "other": ["p", "q"] * (ROWS // 2),
        "y": ["often"] * 150 + ["seldom"] * 40 + ["rare"] * 9 + ["once"],
    }
)


def with_key(column: str, role: Role) -> Table:
    """The table with a column that its split needs."""
    spec = TableSpec((("y", "target"), (column, role)))
    return read_table(TableReader(Source.of_frame("t", FRAME), spec))


def split_of(table: Table, *overrides: str) -> Split:
    return make_split(config(*overrides).data.split, table)


def shares(table: Table, split: Split) -> list[list[int]]:
    """The number of rows of each class in train, val and test."""
    return [
        np.bincount(table.y[rows, 0].astype(int), minlength=4).tolist() for rows in split.parts().values()
    ]


def test_the_classes_of_a_target_have_the_same_share_in_each_part() -> None:
    table = table_of(FRAME)
    assert table.schema.classes == ("often", "once", "rare", "seldom")
    split = split_of(table, "data.split.val=0.2", "data.split.test=0.3")
    found = np.array(shares(table, split))
    assert found[:, [0, 3]].tolist() == [[75, 20], [30, 8], [45, 12]]
    assert found[:, 2].min() >= 1
    assert found[:, 1].sum() == 1


def test_folds_are_stratified_too() -> None:
    table = table_of(FRAME)
    folds = [split_of(table, "data/split=kfold", f"data.split.fold={fold}") for fold in range(5)]
    tested = np.array([shares(table, fold)[2] for fold in folds])
    assert tested[:, [0, 3]].tolist() == [[30, 8]] * 5
    assert set(tested[:, 2]) == {1, 2}
    assert tested.sum(0).tolist() == [150, 1, 9, 40]


def test_rows_without_a_target_are_in_no_part() -> None:
    missing = FRAME.with_columns(y=pl.when(pl.int_range(pl.len()) % 10 > 0).then("y"))
    table = table_of(missing, drop_missing_targets=True)
    split = split_of(table)
    assert sum(len(rows) for rows in split.parts().values()) == 180
    assert np.isfinite(table.y[np.concatenate(list(split.parts().values()))]).all()


@pytest.mark.parametrize(
    "own", [["data.split.stratify=null"], ["data/split=kfold", "data.split.stratify=null"]]
)
def test_a_target_that_is_no_class_or_is_not_asked_for_is_not_stratified(own: list[str]) -> None:
    numbers = table_of(FRAME.with_columns(y=pl.col("x") ** 2))
    plain, auto = split_of(numbers, *own), split_of(numbers, *own[:-1])
    by_classes = split_of(table_of(FRAME), *own)
    for part, rows in plain.parts().items():
        np.testing.assert_array_equal(auto.parts()[part], rows)
        np.testing.assert_array_equal(by_classes.parts()[part], rows)


@pytest.mark.parametrize(("key", "column"), [("group", "group"), ("time", "x")])
def test_groups_and_times_of_folds_come_before_classes(key: Literal["group", "time"], column: str) -> None:
    table = with_key(column, key)
    split = split_of(table, "data/split=kfold", f"data.split.{key}={column}", "data.split.fold=1")
    train, val, test = (set(FRAME[column][rows.tolist()]) for rows in split.parts().values())
    if key == "group":
        assert not train & val | train & test | val & test
    else:
        assert max(train) < min(val) <= max(val) < min(test)


@pytest.mark.parametrize("name", ["group", "kfold"])
def test_groups_may_be_in_a_column_called_auto(name: str) -> None:
    words = ("data=csv", "data.path=t.csv", "data.target=y", f"data/split={name}", "data.split.group=auto")
    assert table_spec(config(*words)).roles == (("y", "target"), ("auto", "group"))
