"""Which rows are for training, validation and test."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64

from mlplab.data.splits.assign import balanced, check_classes, dealt, numbered_groups, starts, whole_groups
from mlplab.errors import Fault, UserError, listed

PARTS = ("train", "val", "test")

LEAST_OF_TWO_FOLDS = 5
"""Rows of a class, of which one of two folds may take three: train and val need one each of the others."""

Rows = Int64[np.ndarray, " _"]
"""Row numbers of a table."""

Codes = Int64[np.ndarray, " row"]
"""The class or group of each row of a table, from 0; below 0 where it has none."""

Times = Float64[np.ndarray, " row"]
"""The time of each row of a table, in any unit; NaN where it has none."""


@dataclass(frozen=True)
class Split:
    """Row numbers of each part, ascending; no row stands in two parts."""

    train: Rows
    val: Rows
    test: Rows


def random_split(
    rows: Rows, *, val: float, test: float, seed: int, classes: Codes | None = None, names: Sequence[str] = ()
) -> Split:
    """`rows` dealt at random; `val` and `test` are fractions of them, rounded to whole rows.

    With `classes`, called `names`, each part has its share of each class (`dealing.shares`).

    Raises:
        UserError: if a part is left without a row, or a class has fewer rows than there are parts.
    """
    if classes is not None:
        check_classes(classes[rows], names, len(PARTS))
    n_val, n_test = round(val * len(rows)), round(test * len(rows))
    sizes = [n_val, n_test, len(rows) - n_val - n_test]
    held, tested, train = dealt(rows, sizes, np.random.default_rng(seed), classes)
    split = _ascending(train, held, tested)
    remedy = "give the table more rows, or change data.split.val and data.split.test"
    _check(split, len(rows), "data.split", remedy)
    return split


def group_split(rows: Rows, groups: Codes, *, val: float, test: float, seed: int) -> Split:
    """Whole groups, in random order, dealt to test and then to val, each up to its fraction of `rows`.

    A group that would carry a part further from its fraction is passed over; each part gets at least one.

    Raises:
        UserError: if there are fewer groups than parts, or a row has none.
    """
    group_of, sizes = numbered_groups(groups[rows], len(PARTS))
    order = np.random.default_rng(seed).permutation(len(sizes))
    tested = whole_groups(order, sizes, test * len(rows), left=2)
    held = whole_groups(order[~np.isin(order, tested)], sizes, val * len(rows), left=1)
    return _of_groups(rows, group_of, held, tested)


def time_split(rows: Rows, times: Times, *, val: float, test: float) -> Split:
    """The last of `rows` are the test part, those before them val, the earliest train.

    Each part begins with a new time, the one by which it comes nearest to its fraction of `rows`.

    Raises:
        UserError: if there are fewer times than parts, or a row has none.
    """
    order = rows[np.argsort(times[rows], kind="stable")]
    places = starts(times[order], [(1 - val - test) * len(rows), (1 - test) * len(rows)])
    train, held, tested = np.split(order, places)
    return _ascending(train, held, tested)


def kfold_split(
    rows: Rows,
    *,
    folds: int,
    fold: int,
    val: float,
    seed: int,
    groups: Codes | None = None,
    times: Times | None = None,
    classes: Codes | None = None,
    names: Sequence[str] = (),
) -> Split:
    """`rows` dealt at random into `folds` parts, whose sizes differ by one at most; `fold` is the test part.

    A fraction `val` of the other rows, dealt anew for each fold, is the validation part. At most one of:

    - `groups`: whole ones are dealt, the largest first, each to the fold with the fewest rows so far;
    - `times`: `folds + 1` blocks of equal length follow each other, each beginning with a new time. Block
      `fold + 1` is the test part; of the rows before it the last are val; those after it are in no part.
    - `classes`, called `names`: each part has its share of each class (`dealing.shares`).

    Raises:
        UserError: if a part is left without a row; if there are too few groups or times, or a row has none;
            if a class has fewer rows than there are folds, or of two folds fewer than five.
    """
    if times is not None:
        return _chained(rows, times, folds, fold, val)
    rest_order = np.random.default_rng([seed, fold])
    if groups is not None:
        group_of, sizes = numbered_groups(groups[rows], max(folds, len(PARTS)))
        fold_of = balanced(np.random.default_rng(seed).permutation(len(sizes)), sizes, folds)
        rest = rest_order.permutation(np.flatnonzero(fold_of != fold))
        held_groups = whole_groups(rest, sizes, val * sizes[rest].sum(), left=1)
        split = _of_groups(rows, group_of, held_groups, np.flatnonzero(fold_of == fold))
    else:
        if classes is not None:
            check_classes(classes[rows], names, folds if folds >= len(PARTS) else LEAST_OF_TWO_FOLDS)
        lengths = [(len(rows) + folds - 1 - number) // folds for number in range(folds)]
        parts = dealt(rows, lengths, np.random.default_rng(seed), classes)
        tested = parts.pop(fold)
        rest = np.concatenate(parts)
        n_val = round(val * len(rest))
        held, train = dealt(rest, [n_val, len(rest) - n_val], rest_order, classes)
        split = _ascending(train, held, tested)
    _check(split, len(rows), "data.split", "take other data.split.folds, or another data.split.val")
    return split


def file_split(rows: Rows, total: int, path: str | Path, *, val: float, seed: int) -> Split:
    """`rows` as a file says, one word (train, val, test) for each of the `total` rows of the table.

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
    if len(words) != total:
        raise UserError(
            Fault(
                f"has {len(words)} words, the table {total} rows",
                str(path),
                expected="one word a data row",
                remedy="write one of train, val, test for each row of the table, in its order",
            )
        )
    train, held, tested = (rows[words[rows] == part] for part in PARTS)
    if "val" not in words:
        n_val = round(val * len(train))
        held, train = dealt(train, [n_val, len(train) - n_val], np.random.default_rng(seed), None)
    split = _ascending(train, held, tested)
    _check(split, len(rows), str(path), "give each part a row in that file, or change data.split.val")
    return split


def _ascending(train: Rows, held: Rows, tested: Rows) -> Split:
    return Split(np.sort(train), np.sort(held), np.sort(tested))


def _of_groups(rows: Rows, group_of: Rows, held: Rows, tested: Rows) -> Split:
    in_val, in_test = np.isin(group_of, held), np.isin(group_of, tested)
    return Split(rows[~in_val & ~in_test], rows[in_val], rows[in_test])


def _chained(rows: Rows, times: Times, folds: int, fold: int, val: float) -> Split:
    order = rows[np.argsort(times[rows], kind="stable")]
    length = len(rows) // (folds + 1)
    blocks = [len(rows) - length * number for number in range(folds, 0, -1)]
    # The place before the first block leaves even the first fold a time for train and one for val.
    ends = [*starts(times[order], [(1 - val) * blocks[0], *blocks])[1:], len(rows)]
    before, tested = np.split(order[: ends[fold + 1]], [ends[fold]])
    train, held = np.split(before, starts(times[before], [(1 - val) * len(before)]))
    return _ascending(train, held, tested)


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
