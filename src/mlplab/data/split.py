"""Which rows are for training, validation and test."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from mlplab.errors import Fault, UserError, listed

PARTS = ("train", "val", "test")

Rows = Int64[np.ndarray, " _"]
"""Row numbers of a table."""


@dataclass(frozen=True)
class Split:
    """Row numbers of each part, ascending; no row stands in two parts."""

    train: Rows
    val: Rows
    test: Rows


def random_split(rows: int, *, val: float, test: float, seed: int) -> Split:
    """Rows dealt at random; `val` and `test` are fractions of all rows, rounded to whole rows.

    Raises:
        UserError: if a part is left without a row.
    """
    order = np.random.default_rng(seed).permutation(rows)
    n_val, n_test = round(val * rows), round(test * rows)
    split = Split(
        train=np.sort(order[n_val + n_test :]),
        val=np.sort(order[:n_val]),
        test=np.sort(order[n_val : n_val + n_test]),
    )
    _check(
        split, rows, "data.split", "give the table more rows, or change data.split.val and data.split.test"
    )
    return split


def kfold_split(rows: int, *, folds: int, fold: int, val: float, seed: int) -> Split:
    """Rows dealt at random into `folds` parts, whose sizes differ by one at most; `fold` is the test part.

    A fraction `val` of the other rows, dealt anew for each fold, is the validation part.

    Raises:
        UserError: if a part is left without a row.
    """
    parts = np.array_split(np.random.default_rng(seed).permutation(rows), folds)
    rest = np.concatenate([part for number, part in enumerate(parts) if number != fold])
    rest = np.random.default_rng([seed, fold]).permutation(rest)
    n_val = round(val * len(rest))
    split = Split(train=np.sort(rest[n_val:]), val=np.sort(rest[:n_val]), test=np.sort(parts[fold]))
    _check(split, rows, "data.split", "take fewer data.split.folds, or another data.split.val")
    return split


def file_split(rows: int, path: str | Path, *, val: float, seed: int) -> Split:
    """Rows as a file says, one word (train, val, test) a data row.

    With no `val` row in the file, a seeded fraction `val` of its train rows becomes that part.

    Raises:
        UserError: if the file is missing, of another length than the table, has other words, or leaves
            a part without a row.
    """
    path = Path(path)
    if not path.is_file():
        what = "is a folder, not a file" if path.is_dir() else "no such file"
        raise UserError(Fault(what, str(path), remedy="check data.split.path"))
    words = np.array(path.read_text(encoding="utf-8", errors="replace").split())
    unknown = [(line, str(word)) for line, word in enumerate(words, 1) if word not in PARTS]
    if unknown:
        line, word = unknown[0]
        raise UserError(
            Fault("unknown word", f"{path}, word {line}", found=f"'{word}'", expected=" or ".join(PARTS))
        )
    if len(words) != rows:
        raise UserError(
            Fault(
                f"has {len(words)} words, the table {rows} rows",
                str(path),
                expected="one word a data row",
                remedy="write one of train, val, test for each row of the table, in its order",
            )
        )
    train, held, test = (np.flatnonzero(words == part) for part in PARTS)
    if len(held) == 0:
        order = np.random.default_rng(seed).permutation(len(train))
        n_val = round(val * len(train))
        train, held = np.sort(train[order[n_val:]]), np.sort(train[order[:n_val]])
    split = Split(train, held, test)
    _check(split, rows, str(path), "give each part a row in that file, or change data.split.val")
    return split


def _check(split: Split, rows: int, where: str, remedy: str) -> None:
    sizes = {part: len(getattr(split, part)) for part in PARTS}
    empty = [part for part, size in sizes.items() if size == 0]
    if empty:
        raise UserError(
            Fault(
                f"leaves no row for {listed(empty)}",
                where,
                found=f"{rows} rows: " + ", ".join(f"{part} {size}" for part, size in sizes.items()),
                expected="at least one row in each part",
                remedy=remedy,
            )
        )
