"""Which rows the members of an ensemble train on and hold out."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlplab.data.splits.make_split import bagged_splits, folds_of
from mlplab.data.splits.split import Split, SplitKeys
from mlplab.errors import UserError

ROWS = 60
MEMBERS, SEEDS = st.integers(2, 25), st.integers(0, 99)
ALL = np.ones(ROWS, bool)
few_examples = settings(max_examples=25)


def drawn(seed: int) -> tuple[Split, np.ndarray, np.ndarray]:
    """A split of some rows of a table, and a group or time and a weight for each of its rows."""
    source = np.random.default_rng(seed)
    rows = np.flatnonzero(source.random(ROWS) < source.choice((0.4, 1.0)))
    part = np.concatenate([[0, 1, 2], source.integers(0, 3, len(rows) - 3)])
    keys = source.integers(0, source.integers(1, 9), ROWS)
    return Split(*(rows[part == number] for number in range(3))), keys, source.random(ROWS) < 0.7


def held_out(bagged: list[Split]) -> Counter[int]:
    return Counter(row for split in bagged for row in split.val.tolist())


def assert_parts(split: Split, bagged: list[Split]) -> None:
    """Each member's train and val are parts of the split's, and its test is the split's."""
    for member in bagged:
        assert min(len(member.train), len(member.val)) > 0
        assert not np.intersect1d(member.train, member.val).size
        assert np.isin([*member.train, *member.val], [*split.train, *split.val]).all()
        assert (np.diff(member.train) > 0).all()
        assert (np.diff(member.val) > 0).all()
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


@few_examples
@given(SEEDS, MEMBERS)
def test_groups_stay_together(seed: int, members: int) -> None:
    split, groups, _ = drawn(seed)
    if len(np.unique(groups[[*split.train, *split.val]])) < 2:
        with pytest.raises(UserError, match="too few groups"):
            bagged_splits(split, members, ALL, SplitKeys(groups), seed=[0])
        return
    bagged = bagged_splits(split, members, ALL, SplitKeys(groups), seed=[0])
    assert_parts(split, bagged)
    for member in bagged:
        assert not np.intersect1d(groups[member.train], groups[member.val]).size
        assert len(member.train) + len(member.val) == len(split.train) + len(split.val)


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
    rows, keys = np.random.default_rng(0).permutation(100), SplitKeys(classes=classes)
    for member in bagged_splits(
        Split(rows[:70], rows[70:90], rows[90:]), 7, np.ones(100, bool), keys, seed=[0]
    ):
        assert {0, 1} <= set(classes[member.val].tolist())
        assert {0, 1, 2} <= set(classes[member.train].tolist())


@pytest.mark.parametrize("grouped", [False, True])
@few_examples
@given(SEEDS, MEMBERS)
def test_rows_without_weight_are_never_held_out(grouped: bool, seed: int, members: int) -> None:
    split, groups, counts = drawn(seed)
    both = np.concatenate([split.train, split.val])
    if len(np.unique(groups[both[counts[both]]])) < 2:
        return
    keys = SplitKeys(groups if grouped else None)
    for member in bagged_splits(split, members, counts, keys, seed=[0]):
        assert counts[member.val].all()
        assert np.isin(both[~counts[both]], member.train).all()


def test_two_rows_are_enough() -> None:
    two, test = np.array([3, 5]), np.array([7])
    bagged = bagged_splits(Split(two[:1], two[1:], test), 8, ALL, seed=[0])
    assert [len(member.val) for member in bagged] == [1] * 8


@pytest.mark.parametrize(("members", "folds"), [(2, 5), (5, 5), (8, 8), (10, 10), (11, 6), (16, 8), (64, 10)])
def test_there_are_five_to_ten_folds(members: int, folds: int) -> None:
    assert folds_of(members) == folds
