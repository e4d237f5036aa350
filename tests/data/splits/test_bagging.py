"""Which rows the members of an ensemble train on and hold out."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mlplab.data.splits.bagging import bagged_splits, folds_of
from mlplab.data.splits.split import Split
from mlplab.errors import UserError

MEMBERS = st.integers(2, 25)
ALL = np.ones(200, bool)


@st.composite
def splits(draw: st.DrawFn) -> Split:
    """A split of some rows of a table of 200."""
    rows = np.array(sorted(draw(st.sets(st.integers(0, 199), min_size=12))))
    part = np.array(
        [0, 1, 2, *draw(st.lists(st.integers(0, 2), min_size=len(rows) - 3, max_size=len(rows) - 3))]
    )
    return Split(*(rows[part == each] for each in range(3)))


def held_out(bagged: list[Split]) -> Counter[int]:
    return Counter(row for split in bagged for row in split.val.tolist())


def assert_parts(split: Split, bagged: list[Split]) -> None:
    """Each member's train and val are parts of the split's, and its test is the split's."""
    both = {*split.train.tolist(), *split.val.tolist()}
    for member in bagged:
        train, val = set(member.train.tolist()), set(member.val.tolist())
        assert train
        assert val
        assert not train & val
        assert train | val <= both
        assert (np.diff(member.train) > 0).all()
        assert (np.diff(member.val) > 0).all()
        assert member.test is split.test


@given(split=splits(), members=MEMBERS, seed=st.integers(0, 99))
def test_members_hold_out_disjoint_parts_of_equal_size(split: Split, members: int, seed: int) -> None:
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


@given(
    split=splits(),
    members=MEMBERS,
    groups=st.lists(st.integers(0, 7), min_size=200, max_size=200).map(np.array),
)
def test_groups_stay_together(split: Split, members: int, groups: np.ndarray) -> None:
    present = set(groups[[*split.train, *split.val]].tolist())
    if len(present) < 2:
        with pytest.raises(UserError, match="too few groups"):
            bagged_splits(split, members, ALL, seed=[0], groups=groups)
        return
    bagged = bagged_splits(split, members, ALL, seed=[0], groups=groups)
    assert_parts(split, bagged)
    for member in bagged:
        assert not {*groups[member.train].tolist()} & {*groups[member.val].tolist()}
        assert len(member.train) + len(member.val) == len(split.train) + len(split.val)


@given(
    split=splits(),
    members=MEMBERS,
    times=st.lists(st.integers(0, 7), min_size=200, max_size=200).map(np.array),
)
def test_members_learn_from_nothing_later_than_what_they_hold_out(
    split: Split, members: int, times: np.ndarray
) -> None:
    both = np.concatenate([split.train, split.val])
    both = both[np.argsort(times[both], kind="stable")]
    starts = np.flatnonzero(np.diff(times[both])) + 1
    if not len(starts):
        return  # such a table has no split by time
    split = Split(np.sort(both[: starts[0]]), np.sort(both[starts[0] :]), split.test)
    bagged = bagged_splits(split, members, ALL, seed=[0], times=times.astype(float))
    assert len(bagged) == members
    assert_parts(split, bagged)
    for member in bagged:
        assert times[member.train].max() < times[member.val].min()
        assert set(split.train.tolist()) <= set(member.train.tolist())
    assert held_out(bagged).keys() == {*split.val.tolist()}


def test_each_fold_has_a_row_of_each_class() -> None:
    classes = np.repeat([0, 1, 2, 3], [70, 20, 8, 2])
    rows = np.random.default_rng(0).permutation(100)
    bagged = bagged_splits(Split(rows[:70], rows[70:90], rows[90:]), 7, ALL[:100], seed=[0], classes=classes)
    for member in bagged:
        assert {0, 1} <= set(classes[member.val].tolist())
        assert {0, 1, 2} <= set(classes[member.train].tolist())


@given(
    split=splits(),
    members=MEMBERS,
    counts=st.lists(st.booleans(), min_size=200, max_size=200).map(np.array),
    groups=st.none() | st.lists(st.integers(0, 7), min_size=200, max_size=200).map(np.array),
)
def test_rows_without_weight_are_never_held_out(
    split: Split, members: int, counts: np.ndarray, groups: np.ndarray | None
) -> None:
    both = np.concatenate([split.train, split.val])
    counting = both[counts[both]]
    assume(len(counting) > 1 and (groups is None or len({*groups[counting].tolist()}) > 1))
    for member in bagged_splits(split, members, counts, seed=[0], groups=groups):
        assert counts[member.val].all()
        assert {*both[~counts[both]].tolist()} <= {*member.train.tolist()}


def test_two_rows_are_enough() -> None:
    two, test = np.array([3, 5]), np.array([7])
    bagged = bagged_splits(Split(two[:1], two[1:], test), 8, ALL, seed=[0])
    assert [len(member.val) for member in bagged] == [1] * 8


@pytest.mark.parametrize(("members", "folds"), [(2, 5), (5, 5), (8, 8), (10, 10), (11, 6), (16, 8), (64, 10)])
def test_there_are_five_to_ten_folds(members: int, folds: int) -> None:
    assert folds_of(members) == folds
