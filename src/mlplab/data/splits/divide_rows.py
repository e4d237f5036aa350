"""Divides rows into parts: at random, stratified by classes, in whole groups, or by time."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int64
from numpy.random import Generator

from mlplab.data.splits.split import Codes, Ints, Times
from mlplab.errors import Fault, UserError


def random_parts(rows: Ints, sizes: Sequence[int], generator: Generator, classes: Codes | None) -> list[Ints]:
    """`rows` in random order, divided into parts of these sizes.

    With `classes`, parts are stratified by `stratified_counts`.
    """
    rows = generator.permutation(rows)
    if classes is None:
        return np.split(rows, np.cumsum(sizes)[:-1])
    rows = rows[np.argsort(classes[rows], kind="stable")]
    counts = stratified_counts(np.unique(classes[rows], return_counts=True)[1], np.array(sizes))
    part_of = np.repeat(np.tile(np.arange(len(sizes)), len(counts)), counts.ravel())
    return [rows[part_of == part] for part in range(len(sizes))]


def stratified_counts(
    classes: Int64[np.ndarray, " class"], parts: Int64[np.ndarray, " part"]
) -> Int64[np.ndarray, "class part"]:
    """The number of rows of each class in each part. Class sizes and part sizes must have the same sum.

    Each number is proportional, rounded up or down, unless that leaves a part without a class. Such a part
    gets a row of the class from the part with most of them, in exchange for a row of the most
    over-represented class. All numbers are above 0 if each part has at least as many rows as there are
    classes, and each class has at least as many rows as there are parts.
    """
    quotas = np.outer(classes, parts) / classes.sum()
    counts = np.ceil(quotas).astype(np.int64) - 1
    # Gale and Ryser: if any rounding meets both sums, so does assigning class by class to the neediest parts.
    need = parts - counts.sum(axis=0)
    for index, more in enumerate(classes - counts.sum(axis=1)):
        neediest = np.argsort(-need, kind="stable")[:more]
        counts[index, neediest] += 1
        need[neediest] -= 1
    for index, part in np.argwhere(counts == 0):
        donor = counts[index].argmax()
        surplus = (counts - quotas)[:, part] - (counts - quotas)[:, donor]
        other = np.where(counts[:, part] > 1, surplus, -np.inf).argmax()
        if counts[index, donor] > 1 and counts[other, part] > 1:
            counts[[index, other], [part, donor]] += 1
            counts[[index, other], [donor, part]] -= 1
    return counts


def pool_rare(classes: Codes | None, rows: Ints, least: int) -> Codes | None:
    """The classes of a table's rows, where those with fewer than `least` of `rows` are one class."""
    if classes is None:
        return None
    present, sizes = np.unique(classes[rows], return_counts=True)
    return np.where(np.isin(classes, present[sizes < least]), present.max() + 1, classes)


def number_groups(codes: Ints, least: int) -> tuple[Ints, Ints]:
    """The group of each row, numbered consecutively from 0, and the groups' sizes.

    Raises:
        UserError: if there are fewer than `least` groups, or a row has no group.
    """
    _, numbers, sizes = np.unique(codes, return_inverse=True, return_counts=True)
    _check_column("data.split.group", codes < 0, "groups", len(sizes), least)
    return numbers, sizes


def choose_groups(order: Ints, sizes: Ints, wanted: float, *, leave: int) -> Ints:
    """Chooses groups, in this order, that bring the number of rows nearer to `wanted`.

    At least one group is chosen, and at least `leave` groups are left.
    """
    chosen: list[int] = []
    rows = 0
    for group in order:
        if sizes[group] < 2 * (wanted - rows) and len(chosen) < len(order) - leave:
            chosen.append(group)
            rows += sizes[group]
    return np.array(chosen or [order[sizes[order].argmin()]])


def balance_groups(order: Ints, sizes: Ints, folds: int) -> Ints:
    """Assigns each group to the smallest fold so far, the largest groups first; `order` breaks ties."""
    fold_of, rows = np.empty(len(order), np.int64), np.zeros(folds, np.int64)
    for group in order[np.argsort(-sizes[order], kind="stable")]:
        fold_of[group] = rows.argmin()
        rows[fold_of[group]] += sizes[group]
    return fold_of


def time_parts(rows: Ints, times: Times, wanted: Sequence[float | int]) -> list[Ints]:
    """`rows` in the order of their times, divided where a new time begins, as near as possible to `wanted`.

    Raises:
        UserError: if there are too few distinct times, or a row has no time.
    """
    rows = rows[np.argsort(times[rows], kind="stable")]
    new = np.flatnonzero(np.diff(times[rows])) + 1
    _check_column("data.split.time", np.isnan(times[rows]), "distinct times", len(new) + 1, len(wanted) + 1)
    boundaries, end = [0] * len(wanted), len(new)
    for index in reversed(range(len(wanted))):  # leaves room for the boundaries before it
        end = index + int(np.abs(new[index:end] - wanted[index]).argmin())
        boundaries[index] = new[end]
    return np.split(rows, boundaries)


def _check_column(where: str, missing: Bool[np.ndarray, " _"], what: str, count: int, least: int) -> None:
    if missing.any():
        what = f"{missing.sum()} of {len(missing)} rows have no value in this column"
        remedy = f"fill in the column, or choose a different one: {where}=…"
        raise UserError(Fault(what, where, remedy=remedy))
    if count < least:
        remedy = f"choose a different column: {where}=…"
        raise UserError(Fault(f"has too few {what}", where, f"{count}", f"{least} or more", remedy))
