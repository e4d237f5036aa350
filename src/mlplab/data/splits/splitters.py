"""Random, grouped, chronological and k-fold splits, and splits read from a file.

scikit-learn's splitters give a set neither its exact share of rows and classes, nor a row of each rare class.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.random import Generator

from mlplab.console import plural
from mlplab.data.splits.divide_rows import (
    balance_groups,
    choose_groups,
    number_groups,
    pool_rare,
    random_parts,
    time_parts,
)
from mlplab.data.splits.split import NO_KEYS, NO_ROWS, PARTS, Codes, Rows, Split, SplitKeys
from mlplab.errors import Fault, UserError, listed, refusal


def random_split(rows: Rows, keys: SplitKeys = NO_KEYS, *, val: float, test: float, seed: int) -> Split:
    """Assigns `rows` at random; `val` and `test` are fractions of them, rounded to whole rows. With

    - groups, whole groups are assigned, to test and then to val, each up to its fraction of `rows`. A group
      that would take a set further from its fraction is skipped. Each set gets at least one group;
    - times, nothing is random: the latest rows are test, those before them val, and the earliest train. Each
      set begins with a new time, as near as possible to its fraction;
    - classes, the sets are stratified (`stratified_counts`); too rare are those with fewer rows than there
      are sets.

    If `test` is 0, the test set is empty.

    Raises:
        UserError: if a set is empty; if there are fewer groups or times than sets, or a row has none.
    """
    if keys.times is not None:
        before = [1 - val - test, 1 - test] if test else [1 - val]
        return _ascending(*time_parts(rows, keys.times, [share * len(rows) for share in before]))
    generator = np.random.default_rng(seed)
    if keys.groups is not None:
        group_of, sizes = number_groups(keys.groups[rows], len(PARTS) if test else len(PARTS) - 1)
        order = generator.permutation(len(sizes))
        test_groups = choose_groups(order, sizes, test * len(rows), leave=2) if test else order[:0]
        val_groups = choose_groups(order[~np.isin(order, test_groups)], sizes, val * len(rows), leave=1)
        return _split_of_groups(rows, group_of, val_groups, test_groups)
    sizes_of = [round(share * len(rows)) for share in ([val, test] if test else [val])]
    classes = pool_rare(keys.classes, rows, len(sizes_of) + 1)
    sizes_of.append(len(rows) - sum(sizes_of))
    val_rows, *test_rows, train_rows = random_parts(rows, sizes_of, generator, classes)
    remedy = "give the table more rows, or change data.split.val and data.split.test"
    return _not_empty(_ascending(train_rows, val_rows, *test_rows), "data.split", remedy, has_test=test > 0)


def kfold_split(rows: Rows, keys: SplitKeys, *, folds: int, fold: int, val: float, seed: int) -> Split:
    """Assigns `rows` at random to `folds` folds, whose sizes differ by at most one; `fold` is the test set.

    A fraction `val` of the other rows, drawn again for each fold, is the validation set. With

    - groups, whole groups are assigned, the largest first, each to the fold with the fewest rows so far;
    - times, there are `folds + 1` chronological blocks of equal length, each beginning with a new time. Block
      `fold + 1` is the test set; the latest of the rows before it are val; the rows after it are not used;
    - classes, the sets are stratified (`stratified_counts`); too rare are those with fewer rows than there
      are folds (five with two folds).

    Raises:
        UserError: if a set is empty; if there are too few rows, groups or times, or a row has no group or
            time.
    """
    if folds > len(rows):
        raise UserError(Fault("more folds than rows", "data.split.folds", f"{folds}", f"at most {len(rows)}"))
    if keys.times is not None:
        length = len(rows) // (folds + 1)
        starts = [len(rows) - length * number for number in range(folds, 0, -1)]
        # The extra boundary leaves a time for train and one for val even before the first fold.
        *before, test_rows = time_parts(rows, keys.times, [(1 - val) * starts[0], *starts])[: fold + 3]
        earlier = random_split(np.concatenate(before), keys, val=val, test=0.0, seed=seed)
        return replace(earlier, test=np.sort(test_rows))
    rest_generator = np.random.default_rng([seed, fold])
    if keys.groups is not None:
        group_of, sizes = number_groups(keys.groups[rows], max(folds, len(PARTS)))
        fold_of = balance_groups(np.random.default_rng(seed).permutation(len(sizes)), sizes, folds)
        rest = rest_generator.permutation(np.flatnonzero(fold_of != fold))
        val_groups = choose_groups(rest, sizes, val * sizes[rest].sum(), leave=1)
        split = _split_of_groups(rows, group_of, val_groups, np.flatnonzero(fold_of == fold))
    else:
        # Of two folds, one may have three of five rows; train and val get one each of the others.
        classes = pool_rare(keys.classes, rows, folds if folds >= len(PARTS) else 5)
        lengths = [(len(rows) + folds - 1 - number) // folds for number in range(folds)]
        parts = random_parts(rows, lengths, np.random.default_rng(seed), classes)
        test_rows = parts.pop(fold)
        split = _ascending(*_train_and_val(np.concatenate(parts), val, rest_generator, classes), test_rows)
    return _not_empty(split, "data.split", "change data.split.folds or data.split.val")


def file_split(rows: Rows, total: int, path: str | Path, *, val: float, seed: int) -> Split:
    """Assigns `rows` by a file: one word (train, val or test) for each of the `total` rows of the table.

    If the file has no `val` row, a random fraction `val` of its train rows becomes the validation set. If it
    has no `test` row, the test set is empty.

    Raises:
        UserError: if the file is missing, its length differs from the table's, it has unknown words, or
            another set is empty.
    """
    path = Path(path)
    if not path.is_file():
        raise refusal("is not a file", path, "check data.split.path")
    words = np.array(path.read_text(encoding="utf-8", errors="replace").split())
    for number in np.flatnonzero(~np.isin(words, PARTS)).tolist()[:1]:
        where, found = f"{path}, word {number + 1}", f"'{words[number]}'"
        raise UserError(Fault("unknown word", where, found, expected=" or ".join(PARTS)))
    if len(words) != total:
        what = f"has {plural(len(words), 'word')}, but the table has {plural(total, 'row')}"
        raise refusal(what, path, "write train, val or test for each row of the table, in the same order")
    train_rows, val_rows, test_rows = (rows[words[rows] == part] for part in PARTS)
    if "val" not in words:
        train_rows, val_rows = _train_and_val(train_rows, val, np.random.default_rng(seed), None)
    remedy = "give each set a row in that file, or change data.split.val"
    split = _ascending(train_rows, val_rows, test_rows)
    return _not_empty(split, str(path), remedy, has_test="test" in words)


def _train_and_val(rows: Rows, val: float, generator: Generator, classes: Codes | None) -> tuple[Rows, Rows]:
    n_val = round(val * len(rows))
    val_rows, train_rows = random_parts(rows, [n_val, len(rows) - n_val], generator, classes)
    return train_rows, val_rows


def _ascending(train: Rows, val: Rows, test: Rows = NO_ROWS) -> Split:
    return Split(np.sort(train), np.sort(val), np.sort(test))


def _split_of_groups(rows: Rows, group_of: Rows, val_groups: Rows, test_groups: Rows) -> Split:
    in_val, in_test = np.isin(group_of, val_groups), np.isin(group_of, test_groups)
    return Split(rows[~in_val & ~in_test], rows[in_val], rows[in_test])


def _not_empty(split: Split, where: str, remedy: str, *, has_test: bool = True) -> Split:
    """The split, if no set is empty, except test unless it `has_test`."""
    sizes = {part: len(in_part) for part, in_part in split.parts().items()}
    if empty := [part for part, size in sizes.items() if not size and (has_test or part != "test")]:
        what = f"the {listed(empty)} set{'s are' if len(empty) > 1 else ' is'} empty"
        counts = f"{sum(sizes.values())} rows: " + ", ".join(f"{part} {size}" for part, size in sizes.items())
        raise UserError(Fault(what, where, counts, "at least one row in each set", remedy))
    return split
