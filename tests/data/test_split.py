from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlplab.data.split import PARTS, Split, file_split, random_split
from mlplab.errors import UserError


def assert_parts_of(split: Split, rows: int) -> None:
    together = np.concatenate([getattr(split, part) for part in PARTS])
    np.testing.assert_array_equal(np.sort(together), np.arange(rows))


@given(st.integers(20, 500), st.floats(0.05, 0.45), st.floats(0.05, 0.45), st.integers(0, 2**63 - 1))
def test_each_row_stands_in_one_part(rows: int, val: float, test: float, seed: int) -> None:
    split = random_split(rows, val=val, test=test, seed=seed)
    assert_parts_of(split, rows)
    assert len(split.val) == round(val * rows)
    assert len(split.test) == round(test * rows)


def test_the_seed_decides() -> None:
    first, again, other = (random_split(100, val=0.2, test=0.2, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.test, again.test)
    assert not np.array_equal(first.test, other.test)


def write(folder: Path, words: list[str]) -> Path:
    path = folder / "split.txt"
    path.write_text("\n".join(words))
    return path


def test_a_file_is_followed(tmp_path: Path) -> None:
    split = file_split(4, write(tmp_path, ["test", "train", "val", "train"]), val=0.5, seed=0)
    assert [part.tolist() for part in (split.train, split.val, split.test)] == [[1, 3], [2], [0]]


def test_val_is_taken_from_train_where_a_file_has_none(tmp_path: Path) -> None:
    words = ["train"] * 80 + ["test"] * 20
    split = file_split(100, write(tmp_path, words), val=0.1, seed=0)
    assert_parts_of(split, 100)
    assert split.test.tolist() == list(range(80, 100))
    assert len(split.val) == 8
    assert file_split(100, write(tmp_path, words), val=0.1, seed=1).val.tolist() != split.val.tolist()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "test", "tset"], "word 3: unknown word (found 'tset', expected train or val or test)"),
        (["train", "test"], "has 2 words, the table 3 rows"),
        (["test", "test", "test"], "leaves no row for train, val"),
        (["train", "train", "train"], "leaves no row for val, test"),
    ],
)
def test_wrong_files_are_told(tmp_path: Path, words: list[str], said: str) -> None:
    with pytest.raises(UserError) as told:
        file_split(3, write(tmp_path, words), val=0.1, seed=0)
    assert said in str(told.value)
