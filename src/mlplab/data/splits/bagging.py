"""The splits of an ensemble's members: each holds out another fold (bagging by folds)."""

from collections.abc import Sequence
from itertools import islice
from math import ceil

import numpy as np
from numpy.random import Generator

from mlplab.data.splits.divide_rows import balance_groups, number_groups, pool_rare, random_parts, time_parts
from mlplab.data.splits.split import NO_KEYS, Flags, Rows, Split, SplitKeys


def folds_of(members: int) -> int:
    """The number of folds of an ensemble: as many as members, if that is 5 to 10.

    With fewer folds, members would train on too few rows; with more, choose their epoch by too few. More
    members take several divisions into folds; fewer leave some folds in training always.
    """
    return max(5, ceil(members / ceil(members / 10)))


def bagged_splits(
    split: Split, members: int, counts: Flags, keys: SplitKeys = NO_KEYS, *, seed: Sequence[int]
) -> list[Split]:
    """The split of each member: its val is a part of train and val, its test the test set of `split`.

    Train and val are divided into `folds_of(members)` random folds of equal size. The rows that are left
    over, fewer than there are folds, belong to none, and all members train on them: so all members have
    equally many training rows. With

    - groups, whole groups are assigned to folds, which differ in size;
    - times, val is divided into as many periods as members, at most ten. Each member holds one out, and
      trains on train and the periods before it, so that no member learns from rows after its own;
    - classes, folds are stratified; classes with fewer rows than folds are stratified as one.

    Args:
        split: the split of the run. Train and val each have rows that count, and no group in common.
        counts: which rows of the table have a weight above 0; the others are in training always.
    """
    folds = folds_of(members)
    if keys.times is not None:
        val = split.val[counts[split.val]]
        count = min(members, folds, len(np.unique(keys.times[val])))
        periods = time_parts(val, keys.times, [len(val) * period / count for period in range(1, count)])
        by_period = [
            Split(np.sort(np.concatenate([split.train, *periods[:number]])), np.sort(held_out), split.test)
            for number, held_out in enumerate(periods)
        ]
        return [by_period[member % count] for member in range(members)]
    rows = np.sort(np.concatenate([split.train, split.val]))
    splits = (
        Split(np.setdiff1d(rows, held_out, assume_unique=True), np.sort(held_out), split.test)
        for repeat in range(members)
        for held_out in _folds(rows[counts[rows]], folds, np.random.default_rng([*seed, repeat]), keys)
    )
    return [*islice(splits, members)]


def _folds(rows: Rows, folds: int, generator: Generator, keys: SplitKeys) -> list[Rows]:
    if keys.groups is not None:
        group_of, sizes = number_groups(keys.groups[rows], 2)
        fold_of = balance_groups(generator.permutation(len(sizes)), sizes, min(folds, len(sizes)))
        return [rows[fold_of[group_of] == fold] for fold in range(fold_of.max() + 1)]
    folds = min(folds, len(rows))
    size, left_over = divmod(len(rows), folds)
    classes = pool_rare(keys.classes, rows, folds)
    return random_parts(rows, [size] * folds + [left_over] * bool(left_over), generator, classes)[:folds]
