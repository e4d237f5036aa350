from collections import Counter
from typing import Literal

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import config, table_of

from mlplab.data.load_table import table_spec
from mlplab.data.splits.bagging import bagged_splits, folds_of
from mlplab.data.splits.make_split import make_split
from mlplab.data.splits.split import Split, SplitKeys
from mlplab.data.table import Table
from mlplab.errors import UserError

ROWS = 200
LABELS = ["often"] * 150 + ["seldom"] * 40 + ["rare"] * 9 + ["once"]
GROUPS = [f"g{row % 20}" for row in range(ROWS)]
FRAME = pl.DataFrame({"x": np.arange(ROWS) / 7, "group": GROUPS, "y": LABELS})


def split_of(table: Table, *overrides: str) -> Split:
    return make_split(config(*overrides).data.split, table)


def shares(table: Table, *overrides: str) -> np.ndarray:
    """The number of rows of each class in train, val and test."""
    parts = split_of(table, *overrides).parts().values()
    return np.array([np.bincount(table.y[rows, 0].astype(int), minlength=4) for rows in parts])


def test_the_classes_of_a_target_have_the_same_share_in_each_part() -> None:
    table = table_of(FRAME)
    assert table.schema.classes == ("often", "once", "rare", "seldom")
    found = shares(table, "data.split.val=0.2", "data.split.test=0.3")
    assert found[:, [0, 3]].tolist() == [[75, 20], [30, 8], [45, 12]]
    tested = np.array([shares(table, "data/split=kfold", f"data.split.fold={fold}")[2] for fold in range(5)])
    assert tested[:, [0, 3]].tolist() == [[30, 8]] * 5
    assert tested.sum(0).tolist() == [150, 1, 9, 40]


def test_rows_without_a_target_are_in_no_part() -> None:
    missing = FRAME.with_columns(y=pl.when(pl.int_range(pl.len()) % 10 > 0).then("y"))
    table = table_of(missing, drop_missing_targets=True)
    rows = np.sort(np.concatenate([*split_of(table).parts().values()]))
    np.testing.assert_array_equal(rows, np.flatnonzero(np.arange(ROWS) % 10))


def test_a_target_that_is_no_class_or_is_not_asked_for_is_not_stratified() -> None:
    numbers = table_of(FRAME.with_columns(y=pl.col("x") ** 2))
    plain = split_of(numbers, "data.split.stratify=null")
    for other in (split_of(numbers), split_of(table_of(FRAME), "data.split.stratify=null")):
        for part, rows in plain.parts().items():
            np.testing.assert_array_equal(other.parts()[part], rows)


@pytest.mark.parametrize("folds", [(), ("data/split=kfold", "data.split.fold=1")])
@pytest.mark.parametrize(("key", "column"), [("group", "group"), ("time", "x")])
def test_keys_come_before_classes(key: Literal["group", "time"], column: str, folds: tuple[str, ...]) -> None:
    table = table_of(FRAME, more_roles=[(column, key)])
    split = split_of(table, *(folds or [f"data/split={key}"]), f"data.split.{key}={column}")
    train, val, test = (set(FRAME[column][rows.tolist()]) for rows in split.parts().values())
    if key == "group":
        assert not train & val | train & test | val & test
    else:
        assert max(train) < min(val) <= max(val) < min(test)


def test_groups_may_be_in_a_column_called_auto() -> None:
    words = ("data=csv", "data.path=t.csv", "data.target=y", "data/split=kfold", "data.split.group=auto")
    assert table_spec(config(*words)).roles == (("y", "target"), ("auto", "group"))


BAGGED = 60
MEMBERS, SEEDS = st.integers(2, 25), st.integers(0, 99)
ALL = np.ones(BAGGED, bool)
few_examples = settings(max_examples=25)


def drawn(seed: int) -> tuple[Split, np.ndarray, np.ndarray]:
    """A split of some rows of a table, and a group or time and a weight for each of its rows."""
    source = np.random.default_rng(seed)
    rows = np.flatnonzero(source.random(BAGGED) < source.choice((0.4, 1.0)))
    part = np.concatenate([[0, 1, 2], source.integers(0, 3, len(rows) - 3)])
    keys = source.integers(0, source.integers(1, 9), BAGGED)
    return Split(*(rows[part == number] for number in range(3))), keys, source.random(BAGGED) < 0.7


def held_out(bagged: list[Split]) -> Counter[int]:
    return Counter(row for split in bagged for row in split.val.tolist())


def assert_parts(split: Split, bagged: list[Split]) -> None:
    """Each member's train and val are parts of the split's, and its test is the split's."""
    for member in bagged:
        assert not np.intersect1d(member.train, member.val).size
        assert np.isin([*member.train, *member.val], [*split.train, *split.val]).all()
        for part in (member.train, member.val):
            assert len(part)
            assert (np.diff(part) > 0).all()
        assert member.test is split.test


@few_examples
@given(SEEDS, MEMBERS)
def test_members_hold_out_disjoint_parts_of_equal_size(seed: int, members: int) -> None:
    split, _, _ = drawn(seed)
    bagged = bagged_splits(split, members, ALL, seed=[seed])
    assert len(bagged) == members
    assert_parts(split, bagged)
    rows = len(split.train) + len(split.val)
    folds = min(rows, folds_of(members))
    assert {len(member.val) for member in bagged} == {rows // folds}
    assert {len(member.train) for member in bagged} == {rows - rows // folds}
    assert max(held_out(bagged[:folds]).values()) == 1  # the first division into folds
    if members >= folds:
        assert len(held_out(bagged)) >= rows - rows % folds


@pytest.mark.parametrize("grouped", [False, True])
@few_examples
@given(SEEDS, MEMBERS)
def test_groups_stay_together_and_weightless_rows_in_train(grouped: bool, seed: int, members: int) -> None:
    split, groups, counts = drawn(seed)
    both, keys = np.concatenate([split.train, split.val]), SplitKeys(groups if grouped else None)
    if len(np.unique(groups[both[counts[both]]])) < 2:
        if grouped:
            with pytest.raises(UserError, match="too few groups"):
                bagged_splits(split, members, counts, keys, seed=[0])
        return
    bagged = bagged_splits(split, members, counts, keys, seed=[0])
    assert_parts(split, bagged)
    for member in bagged:
        assert counts[member.val].all()
        assert np.isin(both[~counts[both]], member.train).all()
        assert len(member.train) + len(member.val) == len(both)
        if grouped:
            assert not np.intersect1d(groups[member.train[counts[member.train]]], groups[member.val]).size


@few_examples
@given(SEEDS, MEMBERS)
def test_members_learn_from_nothing_later_than_what_they_hold_out(seed: int, members: int) -> None:
    split, times, _ = drawn(seed)
    both = np.concatenate([split.train, split.val])
    both = both[np.argsort(times[both], kind="stable")]
    starts = np.flatnonzero(np.diff(times[both])) + 1
    if not len(starts):
        return  # such a table has no split by time
    split = Split(np.sort(both[: starts[0]]), np.sort(both[starts[0] :]), split.test)
    bagged = bagged_splits(split, members, ALL, SplitKeys(times=times.astype(float)), seed=[0])
    assert len(bagged) == members
    assert_parts(split, bagged)
    for member in bagged:
        assert times[member.train].max() < times[member.val].min()
        assert np.isin(split.train, member.train).all()
    assert held_out(bagged).keys() == {*split.val.tolist()}


def test_each_fold_has_a_row_of_each_class() -> None:
    classes = np.repeat([0, 1, 2, 3], [70, 20, 8, 2])
    split = Split(*np.split(np.random.default_rng(0).permutation(100), [70, 90]))
    for member in bagged_splits(split, 7, np.ones(100, bool), SplitKeys(classes=classes), seed=[0]):
        assert {0, 1} <= set(classes[member.val].tolist())
        assert {0, 1, 2} <= set(classes[member.train].tolist())


def test_there_are_five_to_ten_folds_and_two_rows_are_enough() -> None:
    assert [*map(folds_of, (2, 5, 8, 10, 11, 16, 64))] == [5, 5, 8, 10, 6, 8, 10]
    two, test = np.array([3, 5]), np.array([7])
    bagged = bagged_splits(Split(two[:1], two[1:], test), 8, ALL, seed=[0])
    assert [len(member.val) for member in bagged] == [1] * 8
