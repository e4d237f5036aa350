from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mlplab.data.splits.split import Rows, Split
from mlplab.data.splits.splitters import (
    file_split,
    group_split,
    kfold_split,
    random_split,
    time_split,
)
from mlplab.errors import UserError

SEEDS = st.integers(0, 2**63 - 1)
FRACTIONS = st.floats(0.05, 0.45)
TABLES = st.integers(40, 200).flatmap(
    lambda total: st.tuples(
        st.sets(st.integers(0, total - 1), min_size=30).map(lambda rows: np.array(sorted(rows))),
        st.lists(st.integers(0, 9), min_size=total, max_size=total).map(np.array),
    )
)
"""The rows to split of a table, and a key for each of its rows: a group or a time."""


def parts_of(split: Split) -> list[list[int]]:
    return [rows.tolist() for rows in split.parts().values()]


def assert_parts_of(split: Split, rows: Rows) -> None:
    """Each of `rows` is in one part, each part is ascending, and none is empty."""
    together = np.concatenate(list(split.parts().values()))
    np.testing.assert_array_equal(np.sort(together), rows)
    for part in parts_of(split):
        assert part
        assert part == sorted(part)


def assert_apart(split: Split, keys: np.ndarray) -> None:
    train, val, test = (set(keys[rows].tolist()) for rows in split.parts().values())
    assert not train & val | train & test | val & test


def counts(keys: np.ndarray, rows: Rows) -> np.ndarray:
    return np.bincount(keys[rows], minlength=keys.max() + 1)


def test_splits_of_earlier_versions_are_reproduced(tmp_path: Path) -> None:
    rows = np.arange(12)
    words = ["train"] * 9 + ["test"] * 3
    assert parts_of(random_split(rows, val=0.2, test=0.2, seed=3)) == [
        [0, 1, 3, 4, 5, 6, 8, 9],
        [7, 11],
        [2, 10],
    ]
    assert parts_of(kfold_split(rows, folds=3, fold=1, val=0.25, seed=3)) == [
        [3, 5, 8, 9, 10, 11],
        [2, 7],
        [0, 1, 4, 6],
    ]
    assert parts_of(file_split(rows, 12, write(tmp_path, words), val=0.3, seed=3)) == [
        [1, 3, 4, 5, 6, 8],
        [0, 2, 7],
        [9, 10, 11],
    ]


@given(TABLES, FRACTIONS, FRACTIONS, SEEDS)
def test_each_row_is_in_one_part(table: tuple[Rows, np.ndarray], val: float, test: float, seed: int) -> None:
    rows, _ = table
    split = random_split(rows, val=val, test=test, seed=seed)
    assert_parts_of(split, rows)
    assert len(split.val) == round(val * len(rows))
    assert len(split.test) == round(test * len(rows))


@given(TABLES, st.integers(2, 9), FRACTIONS, SEEDS)
def test_each_row_is_tested_in_one_fold(
    table: tuple[Rows, np.ndarray], folds: int, val: float, seed: int
) -> None:
    rows, _ = table
    splits = [kfold_split(rows, folds=folds, fold=fold, val=val, seed=seed) for fold in range(folds)]
    for split in splits:
        assert_parts_of(split, rows)
    np.testing.assert_array_equal(np.sort(np.concatenate([split.test for split in splits])), rows)


@given(TABLES, FRACTIONS, FRACTIONS, SEEDS)
def test_no_group_is_in_two_parts(table: tuple[Rows, np.ndarray], val: float, test: float, seed: int) -> None:
    rows, groups = table
    assume(len(np.unique(groups[rows])) >= 3)
    split = group_split(rows, groups, val=val, test=test, seed=seed)
    assert_parts_of(split, rows)
    assert_apart(split, groups)


def test_groups_come_as_near_to_the_fractions_as_possible() -> None:
    groups = np.repeat(np.arange(41), [600] + [10] * 40)  # the first would be too much for val and for test
    for seed in range(9):
        split = group_split(np.arange(1000), groups, val=0.15, test=0.2, seed=seed)
        assert (len(split.val), len(split.test)) == (150, 200)


@given(TABLES, st.integers(3, 5), FRACTIONS, SEEDS)
def test_no_group_is_in_two_parts_of_a_fold(
    table: tuple[Rows, np.ndarray], folds: int, val: float, seed: int
) -> None:
    rows, groups = table
    assume(len(np.unique(groups[rows])) >= folds)
    largest = counts(groups, rows).max()
    tested = []
    for fold in range(folds):
        split = kfold_split(rows, folds=folds, fold=fold, val=val, seed=seed, groups=groups)
        assert_parts_of(split, rows)
        assert_apart(split, groups)
        tested.append(split.test)
    np.testing.assert_array_equal(np.sort(np.concatenate(tested)), rows)
    sizes = [len(part) for part in tested]
    assert max(sizes) - min(sizes) <= largest


@given(TABLES, FRACTIONS, FRACTIONS)
def test_test_comes_after_val_and_val_after_train(
    table: tuple[Rows, np.ndarray], val: float, test: float
) -> None:
    rows, times = table
    assume(len(np.unique(times[rows])) >= 3)
    split = time_split(rows, times / 4, val=val, test=test)
    assert_parts_of(split, rows)
    assert times[split.train].max() < times[split.val].min()
    assert times[split.val].max() < times[split.test].min()


def test_time_is_cut_nearest_to_the_fractions() -> None:
    times = np.repeat([5.0, 1.0, 3.0, 2.0, 4.0], [3, 5, 1, 2, 2])  # in order of time: 5, 2, 1, 2, 3 rows
    split = time_split(np.arange(13), times, val=0.2, test=0.3)
    assert parts_of(split) == [[3, 4, 5, 6, 7, 9, 10], [8, 11, 12], [0, 1, 2]]


@given(TABLES, st.integers(2, 4), FRACTIONS)
def test_folds_of_time_are_tested_by_what_came_before(
    table: tuple[Rows, np.ndarray], folds: int, val: float
) -> None:
    rows, times = table
    assume(len(np.unique(times[rows])) >= folds + 2)
    before = np.array([], dtype=int)
    for fold in range(folds):
        split = kfold_split(rows, folds=folds, fold=fold, val=val, seed=0, times=times / 4)
        seen = np.union1d(split.train, split.val)
        assert_parts_of(split, np.union1d(seen, split.test))
        assert set(split.test) <= set(rows)
        assert times[split.train].max() < times[split.val].min()
        assert times[split.val].max() < times[split.test].min()
        if fold:
            np.testing.assert_array_equal(seen, before)
        before = np.union1d(seen, split.test)
    np.testing.assert_array_equal(before, rows)


def test_folds_of_time_are_those_of_scikit_learn() -> None:
    """Of 11 rows in 3 folds: blocks of 5, 2, 2 and 2."""
    for fold, end in enumerate((5, 7, 9)):
        split = kfold_split(np.arange(11), folds=3, fold=fold, val=0.2, seed=0, times=np.arange(11.0))
        assert split.test.tolist() == [end, end + 1]
        assert len(split.train) + len(split.val) == end
        assert len(split.val) == round(0.2 * end)


CLASSES = st.lists(st.integers(3, 60), min_size=2, max_size=6).filter(lambda sizes: sum(sizes) >= 20)


def classes_of(sizes: list[int]) -> tuple[Rows, np.ndarray]:
    """Rows of classes of these sizes, every other row of a table."""
    rows = 2 * np.arange(sum(sizes))
    classes = np.full(2 * sum(sizes), -1)
    classes[rows] = np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes))
    return rows, classes


@given(CLASSES, FRACTIONS, FRACTIONS, SEEDS)
def test_each_part_has_the_shares_of_the_classes(
    sizes: list[int], val: float, test: float, seed: int
) -> None:
    rows, classes = classes_of(sizes)
    split = random_split(rows, val=val, test=test, seed=seed, classes=classes)
    assert_parts_of(split, rows)
    assert len(split.val) == round(val * len(rows))
    assert len(split.test) == round(test * len(rows))
    lengths = [len(part) for part in split.parts().values()]
    wanted = np.outer(lengths, sizes) / len(rows)
    found = np.array([counts(classes, part) for part in split.parts().values()])
    if min(lengths) >= len(sizes):
        assert found.min() >= 1
    if wanted.min() > 1:
        assert np.abs(found - wanted).max() <= 1


@given(CLASSES, st.integers(2, 3), st.floats(0.2, 0.5), SEEDS)
def test_each_fold_has_the_shares_of_the_classes(sizes: list[int], folds: int, val: float, seed: int) -> None:
    rows, classes = classes_of([size + 5 for size in sizes])
    tested = []
    for fold in range(folds):
        split = kfold_split(rows, folds=folds, fold=fold, val=val, seed=seed, classes=classes)
        assert_parts_of(split, rows)
        tested.append(split.test)
        assert np.abs(counts(classes, split.test) - counts(classes, rows) / folds).max() <= 4 / 3 + 1e-9
        rest = np.union1d(split.train, split.val)
        if len(split.val) >= len(sizes):
            assert counts(classes, split.val).min() >= 1
        wanted = counts(classes, rest) * len(split.val) / len(rest)
        if wanted.min() > 1:
            assert np.abs(counts(classes, split.val) - wanted).max() <= 1
    np.testing.assert_array_equal(np.sort(np.concatenate(tested)), rows)


def test_a_rare_class_has_a_row_in_each_part() -> None:
    classes = np.array([1] * 3 + [0] * 200)
    split = random_split(np.arange(203), val=0.1, test=0.1, seed=0, classes=classes)
    assert [counts(classes, part).tolist() for part in split.parts().values()] == [[162, 1], [19, 1], [19, 1]]


@given(st.lists(st.integers(3, 9), min_size=1, max_size=3), st.integers(2, 4), FRACTIONS, SEEDS)
def test_no_part_of_a_fold_lacks_a_rare_class(sizes: list[int], folds: int, val: float, seed: int) -> None:
    rows, classes = classes_of([30, *sizes])
    for fold in range(folds):
        try:
            split = kfold_split(
                rows, folds=folds, fold=fold, val=val, seed=seed, classes=classes, names=["0", "1", "2", "3"]
            )
        except UserError:
            assume(min(sizes) >= max(folds, 5))  # only such are refused
            raise
        for part in (split.train, split.val, split.test):
            if len(part) > len(sizes):
                assert counts(classes, part).min() >= 1


@given(
    st.lists(st.integers(1, 40), min_size=2, max_size=9).filter(lambda sizes: sum(sizes) >= 20),
    st.integers(2, 4),
    FRACTIONS,
    SEEDS,
)
def test_classes_without_names_are_never_too_rare(
    sizes: list[int], folds: int, val: float, seed: int
) -> None:
    """Those with too few rows are stratified as one."""
    rows, classes = classes_of(sizes)
    split = random_split(rows, val=val, test=0.2, seed=seed, classes=classes)
    assert_parts_of(split, rows)
    pooled = np.where(np.array(sizes) < 3, 99, np.arange(len(sizes)))
    of_rows = np.unique(pooled[classes[rows]], return_inverse=True)[1]
    found = np.array([counts(of_rows, part // 2) for part in split.parts().values()])
    wanted = np.outer(found.sum(1), found.sum(0)) / len(rows)
    if wanted.min() > 1:
        assert np.abs(found - wanted).max() <= 1
    tested = []
    for fold in range(folds):
        split = kfold_split(rows, folds=folds, fold=fold, val=val, seed=seed, classes=classes)
        assert_parts_of(split, rows)
        tested.append(split.test)
    np.testing.assert_array_equal(np.sort(np.concatenate(tested)), rows)


ROWS = np.arange(100)
KEYS = ROWS % 20
SEEDED: list[Callable[[int], Split]] = [
    lambda seed: random_split(ROWS, val=0.2, test=0.2, seed=seed),
    lambda seed: random_split(ROWS, val=0.2, test=0.2, seed=seed, classes=KEYS),
    lambda seed: group_split(ROWS, KEYS, val=0.2, test=0.2, seed=seed),
    lambda seed: kfold_split(ROWS, folds=3, fold=0, val=0.2, seed=seed),
    lambda seed: kfold_split(ROWS, folds=3, fold=0, val=0.2, seed=seed, groups=KEYS),
    lambda seed: kfold_split(ROWS, folds=3, fold=0, val=0.2, seed=seed, classes=KEYS),
]


@pytest.mark.parametrize("split", SEEDED)
def test_the_seed_decides(split: Callable[[int], Split]) -> None:
    assert parts_of(split(0)) == parts_of(split(0))
    assert all(one != other for one, other in zip(parts_of(split(0)), parts_of(split(1)), strict=True))


FEW = np.array([0, 1] * 6)
HOLES = np.array([-1, 0, 1, 2, -1, 3] * 2)
TIMES = np.where(HOLES < 0, np.nan, HOLES)


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (
            lambda rows: random_split(rows, val=0.2, test=0.2, seed=0, classes=FEW * 0, names=["no"]),
            "data.split.stratify: has only one class (found 'no', expected two or more)",
        ),
        (
            lambda rows: random_split(
                rows, val=0.2, test=0.2, seed=0, classes=np.repeat([0, 1], [10, 2]), names=["no", "yes"]
            ),
            "data.split.stratify: class 'yes' has 2 rows (expected 3 or more)",
        ),
        (
            lambda rows: kfold_split(
                rows,
                folds=5,
                fold=0,
                val=0.2,
                seed=0,
                classes=np.repeat([0, 1], [8, 4]),
                names=["no", "yes"],
            ),
            "data.split.stratify: class 'yes' has 4 rows (expected 5 or more)",
        ),
        (
            lambda rows: random_split(rows, val=0.2, test=0.2, seed=0, classes=HOLES, names=["a", "b", "c"]),
            "data.split.stratify: 4 of 12 rows have no value in this column",
        ),
        (
            lambda rows: group_split(rows, FEW, val=0.2, test=0.2, seed=0),
            "data.split.group: has too few groups (found 2, expected 3 or more)",
        ),
        (
            lambda rows: kfold_split(rows, folds=5, fold=0, val=0.2, seed=0, groups=rows % 4),
            "data.split.group: has too few groups (found 4, expected 5 or more)",
        ),
        (
            lambda rows: kfold_split(
                rows, folds=2, fold=1, val=0.2, seed=0, groups=np.repeat([0, 1, 2], [8, 2, 2])
            ),
            "data.split: the train set is empty",
        ),
        (
            lambda rows: group_split(rows, HOLES, val=0.2, test=0.2, seed=0),
            "data.split.group: 4 of 12 rows have no value in this column",
        ),
        (
            lambda rows: time_split(rows, FEW / 2, val=0.2, test=0.2),
            "data.split.time: has too few distinct times (found 2, expected 3 or more)",
        ),
        (
            lambda rows: kfold_split(rows, folds=3, fold=0, val=0.2, seed=0, times=rows % 4 / 2),
            "data.split.time: has too few distinct times (found 4, expected 5 or more)",
        ),
        (
            lambda rows: time_split(rows, TIMES, val=0.2, test=0.2),
            "data.split.time: 4 of 12 rows have no value in this column",
        ),
        (lambda rows: random_split(rows, val=0.01, test=0.2, seed=0), "data.split: the val set is empty"),
    ],
)
def test_wrong_keys_are_refused(split: Callable[[Rows], Split], message: str) -> None:
    with pytest.raises(UserError) as caught:
        split(np.arange(12))
    assert message in str(caught.value)
    assert "data.split" in str(caught.value).partition("\n")[2]  # the remedy names a key


def write(folder: Path, words: list[str]) -> Path:
    path = folder / "split.txt"
    path.write_text("\n".join(words))
    return path


def test_a_file_is_followed(tmp_path: Path) -> None:
    path = write(tmp_path, ["test", "train", "val", "train", "test"])
    assert parts_of(file_split(np.arange(5), 5, path, val=0.5, seed=0)) == [[1, 3], [2], [0, 4]]
    assert parts_of(file_split(np.array([0, 2, 3]), 5, path, val=0.5, seed=0)) == [[3], [2], [0]]


def test_val_is_taken_from_train_where_a_file_has_none(tmp_path: Path) -> None:
    path = write(tmp_path, ["train"] * 80 + ["test"] * 20)
    rows = np.arange(10, 100)
    split = file_split(rows, 100, path, val=0.1, seed=0)
    assert_parts_of(split, rows)
    assert split.test.tolist() == list(range(80, 100))
    assert len(split.val) == 7
    assert file_split(rows, 100, path, val=0.1, seed=1).val.tolist() != split.val.tolist()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "test", "tset"], "word 3: unknown word (found 'tset', expected train or val or test)"),
        (["train", "test"], "has 2 words, but the table has 3 rows"),
        (["test", "test", "test"], "the train, val sets are empty"),
        (["train", "train", "train"], "the val, test sets are empty"),
    ],
)
def test_wrong_files_are_refused(tmp_path: Path, words: list[str], message: str) -> None:
    with pytest.raises(UserError) as caught:
        file_split(np.arange(3), 3, write(tmp_path, words), val=0.1, seed=0)
    assert message in str(caught.value)
