from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import file_of

from mlplab.data.splits.split import NO_KEYS, Rows, Split, SplitKeys
from mlplab.data.splits.splitters import file_split, kfold_split, random_split
from mlplab.errors import UserError

SEEDS = st.integers(0, 2**63 - 1)
FRACTIONS = st.floats(0.05, 0.45)
few_examples = settings(max_examples=25)


def drawn(seed: int) -> tuple[Rows, np.ndarray]:
    """The rows to split of a table, and a key for each of its rows: a group or a time."""
    source = np.random.default_rng(seed)
    total = source.integers(40, 100)
    rows = np.sort(source.choice(total, source.integers(30, total), replace=False))
    return rows, source.integers(0, source.integers(6, 12), total)


def parts_of(split: Split) -> list[list[int]]:
    return [rows.tolist() for rows in split.parts().values()]


def assert_parts_of(split: Split, rows: Rows, *, has_test: bool = True) -> None:
    """Each of `rows` is in one part, each part is ascending, and none is empty but perhaps test."""
    np.testing.assert_array_equal(np.sort(np.concatenate([*split.parts().values()])), rows)
    for name, part in split.parts().items():
        assert bool(len(part)) == (has_test or name != "test")
        assert (np.diff(part) > 0).all()


def assert_apart(split: Split, keys: np.ndarray) -> None:
    train, val, test = (set(keys[rows].tolist()) for rows in split.parts().values())
    assert not train & val | train & test | val & test


def counts(keys: np.ndarray, rows: Rows) -> np.ndarray:
    return np.bincount(keys[rows], minlength=keys.max() + 1)


def folds_of(rows: Rows, keys: SplitKeys = NO_KEYS, *, folds: int, val: float, seed: int) -> list[Split]:
    """All folds, in each of which each row is in one part, and each row is tested once."""
    splits = [kfold_split(rows, keys, folds=folds, fold=fold, val=val, seed=seed) for fold in range(folds)]
    for split in splits:
        assert_parts_of(split, rows)
    np.testing.assert_array_equal(np.sort(np.concatenate([split.test for split in splits])), rows)
    return splits


def test_splits_of_earlier_versions_are_reproduced(tmp_path: Path) -> None:
    rows, path = np.arange(12), file_of(tmp_path, "train\n" * 9 + "test\n" * 3)
    at_random = random_split(rows, val=0.2, test=0.2, seed=3)
    assert parts_of(at_random) == [[0, 1, 3, 4, 5, 6, 8, 9], [7, 11], [2, 10]]
    fold = kfold_split(rows, NO_KEYS, folds=3, fold=1, val=0.25, seed=3)
    assert parts_of(fold) == [[3, 5, 8, 9, 10, 11], [2, 7], [0, 1, 4, 6]]
    by_file = file_split(rows, 12, path, val=0.3, seed=3)
    assert parts_of(by_file) == [[1, 3, 4, 5, 6, 8], [0, 2, 7], [9, 10, 11]]


WAYS: dict[str, Callable[[np.ndarray], SplitKeys]] = {
    "random": lambda _: NO_KEYS,
    "classes": lambda keys: SplitKeys(classes=keys),
    "groups": SplitKeys,
    "times": lambda keys: SplitKeys(times=keys / 4),
}


@pytest.mark.parametrize("has_test", [True, False])
@pytest.mark.parametrize("way", WAYS)
@few_examples
@given(FRACTIONS, FRACTIONS, SEEDS)
def test_each_row_is_in_one_part(way: str, has_test: bool, val: float, test: float, seed: int) -> None:
    rows, keys = drawn(seed)
    split = random_split(rows, WAYS[way](keys), val=val, test=test * has_test, seed=seed)
    assert_parts_of(split, rows, has_test=has_test)
    if way in ("random", "classes"):
        assert len(split.val) == round(val * len(rows))
        assert len(split.test) == round(test * has_test * len(rows))
    elif way == "groups":
        assert_apart(split, keys)
    else:
        assert keys[split.train].max() < keys[split.val].min()
        assert not has_test or keys[split.val].max() < keys[split.test].min()
    if way == "random" and not has_test:
        np.testing.assert_array_equal(split.val, random_split(rows, val=val, test=0.2, seed=seed).val)


@pytest.mark.parametrize("grouped", [False, True])
@few_examples
@given(st.integers(2, 9), FRACTIONS, SEEDS)
def test_each_row_is_tested_in_one_fold(grouped: bool, folds: int, val: float, seed: int) -> None:
    rows, groups = drawn(seed)
    folds = min(5, max(3, folds)) if grouped else folds
    splits = folds_of(rows, SplitKeys(groups) if grouped else NO_KEYS, folds=folds, val=val, seed=seed)
    sizes = [len(split.test) for split in splits]
    assert max(sizes) - min(sizes) <= (counts(groups, rows).max() if grouped else 1)
    for split in splits if grouped else ():
        assert_apart(split, groups)


def test_groups_come_as_near_to_the_fractions_as_possible_and_two_are_enough_without_test_rows() -> None:
    groups = np.repeat(np.arange(41), [600] + [10] * 40)  # the first would be too much for val and for test
    for seed in range(9):
        split = random_split(np.arange(1000), SplitKeys(groups), val=0.15, test=0.2, seed=seed)
        assert (len(split.val), len(split.test)) == (150, 200)
    for way in ("groups", "times"):
        split = random_split(np.arange(3), WAYS[way](np.array([0, 0, 1])), val=0.3, test=0.0, seed=0)
        assert parts_of(split) == [[0, 1], [2], []]


def test_time_is_cut_nearest_to_the_fractions_and_its_folds_as_by_scikit_learn() -> None:
    times = np.repeat([5.0, 1.0, 3.0, 2.0, 4.0], [3, 5, 1, 2, 2])  # in order of time: 5, 2, 1, 2, 3 rows
    split = random_split(np.arange(13), SplitKeys(times=times), val=0.2, test=0.3, seed=0)
    assert parts_of(split) == [[3, 4, 5, 6, 7, 9, 10], [8, 11, 12], [0, 1, 2]]
    split = kfold_split(np.arange(11), SplitKeys(times=np.arange(11.0)), folds=3, fold=1, val=0.2, seed=0)
    assert parts_of(split) == [[0, 1, 2, 3, 4, 5], [6], [7, 8]]


@few_examples
@given(st.integers(2, 3), FRACTIONS, SEEDS)
def test_folds_of_time_are_tested_by_what_came_before(folds: int, val: float, seed: int) -> None:
    rows, times = drawn(seed)
    before = np.array([], dtype=int)
    for fold in range(folds):
        split = kfold_split(rows, SplitKeys(times=times / 4), folds=folds, fold=fold, val=val, seed=0)
        seen = np.union1d(split.train, split.val)
        assert_parts_of(split, np.union1d(seen, split.test))
        assert times[split.train].max() < times[split.val].min()
        assert times[split.val].max() < times[split.test].min()
        if fold:
            np.testing.assert_array_equal(seen, before)
        before = np.union1d(seen, split.test)
    np.testing.assert_array_equal(before, rows)


CLASSES = st.lists(st.integers(3, 60), min_size=2, max_size=6).filter(lambda sizes: sum(sizes) >= 20)


def classes_of(sizes: list[int]) -> tuple[Rows, np.ndarray]:
    """Rows of classes of these sizes, every other row of a table."""
    rows = 2 * np.arange(sum(sizes))
    classes = np.full(2 * sum(sizes), -1)
    classes[rows] = np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes))
    return rows, classes


def assert_stratified(classes: np.ndarray, parts: list[Rows]) -> None:
    """Each part has the share of each class, rounded, if none of the shares is tiny."""
    actual = np.array([counts(classes, part) for part in parts])
    expected = np.outer(actual.sum(1), actual.sum(0)) / actual.sum()
    if expected.min() > 1:
        assert np.abs(actual - expected).max() <= 1


@few_examples
@given(CLASSES, FRACTIONS, FRACTIONS, SEEDS, st.sampled_from([[], [2, 1]]))
def test_parts_are_stratified(sizes: list[int], val: float, test: float, seed: int, few: list[int]) -> None:
    """Classes with too few rows are stratified as one."""
    rows, classes = classes_of([*sizes, *few])
    split = random_split(rows, SplitKeys(classes=classes), val=val, test=test, seed=seed)
    parts = list(split.parts().values())
    if not few and min(map(len, parts)) >= len(sizes):
        assert min(counts(classes, part).min() for part in parts) >= 1
    assert_stratified(np.minimum(classes, len(sizes)), parts)


@few_examples
@given(CLASSES, st.integers(2, 3), st.floats(0.2, 0.5), SEEDS)
def test_folds_are_stratified(sizes: list[int], folds: int, val: float, seed: int) -> None:
    rows, classes = classes_of([size + 5 for size in sizes])
    for split in folds_of(rows, SplitKeys(classes=classes), folds=folds, val=val, seed=seed):
        assert np.abs(counts(classes, split.test) - counts(classes, rows) / folds).max() <= 4 / 3 + 1e-9
        for part in split.parts().values():
            assert len(part) < len(sizes) or counts(classes, part).min() >= 1
        assert_stratified(classes, [split.train, split.val])


@pytest.mark.parametrize("way", ["random", "classes", "groups"])
def test_the_seed_decides(way: str) -> None:
    rows, keys = np.arange(100), WAYS[way](np.arange(100) % 20)
    one, again, other = (
        parts_of(random_split(rows, keys, val=0.2, test=0.2, seed=seed))
        + parts_of(kfold_split(rows, keys, folds=3, fold=0, val=0.2, seed=seed))
        for seed in (0, 0, 1)
    )
    assert one == again
    assert all(part != its_other for part, its_other in zip(one, other, strict=True))


TWELVE = np.arange(12)
FEW = np.array([0, 1] * 6)
TIMES = np.array([np.nan, 0, 1, 2, np.nan, 3] * 2)


def at_random(keys: SplitKeys, val: float = 0.2) -> Split:
    return random_split(TWELVE, keys, val=val, test=0.2, seed=0)


def in_folds(keys: SplitKeys, folds: int, fold: int = 0) -> Split:
    return kfold_split(TWELVE, keys, folds=folds, fold=fold, val=0.2, seed=0)


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (lambda: at_random(SplitKeys(FEW)), "has too few groups (found 2"),
        (lambda: in_folds(SplitKeys(TWELVE % 4), 5), "group: has too few groups (found 4, expected 5"),
        (lambda: in_folds(SplitKeys(np.repeat([0, 1, 2], [8, 2, 2])), 2, 1), "the train set is empty"),
        (lambda: at_random(SplitKeys(times=FEW / 2)), "time: has too few distinct times (found 2"),
        (lambda: at_random(SplitKeys(times=TIMES)), "time: 4 of 12 rows have no value in this column"),
        (lambda: in_folds(SplitKeys(times=TWELVE % 4 / 2), 3), "time: has too few distinct times (found 4"),
        (lambda: at_random(NO_KEYS, val=0.01), "data.split: the val set is empty"),
    ],
)
def test_wrong_keys_are_refused(split: Callable[[], Split], message: str) -> None:
    with pytest.raises(UserError) as caught:
        split()
    assert message in str(caught.value)
    assert "data.split" in str(caught.value).partition("\n")[2]  # the remedy names a key


def test_a_file_is_followed_and_val_is_taken_from_train_where_it_has_none(tmp_path: Path) -> None:
    path = file_of(tmp_path, "test train val train test")
    assert parts_of(file_split(np.array([0, 2, 3]), 5, path, val=0.5, seed=0)) == [[3], [2], [0]]
    path = file_of(tmp_path, "train\n" * 80 + "test\n" * 20)
    rows = np.arange(10, 100)
    split = file_split(rows, 100, path, val=0.1, seed=0)
    assert_parts_of(split, rows)
    assert split.test.tolist() == list(range(80, 100))
    assert len(split.val) == 7
    with pytest.raises(UserError, match="the train, val sets are empty"):
        file_split(rows, 100, file_of(tmp_path, "test\n" * 100), val=0.1, seed=0)
