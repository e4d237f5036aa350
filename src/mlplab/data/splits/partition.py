"""How rows, or groups of rows, are assigned to sets or folds (here: parts)."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float64, Int64
from numpy.random import Generator

from mlplab.data.splits.split import Codes
from mlplab.errors import Fault, UserError

Ints = Int64[np.ndarray, " _"]


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
    where = "data.split.group"
    _check_none_missing(codes < 0, where)
    _, numbers, sizes = np.unique(codes, return_inverse=True, return_counts=True)
    if len(sizes) < least:
        raise _too_few("groups", where, len(sizes), least)
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


def time_boundaries(times: Float64[np.ndarray, " _"], wanted: Sequence[float | int]) -> list[int]:
    """Positions in ascending `times` where a new time begins, as near as possible to the `wanted` ones.

    Raises:
        UserError: if there are too few distinct times, or a row has no time.
    """
    where = "data.split.time"
    _check_none_missing(np.isnan(times), where)
    new = np.flatnonzero(times[1:] != times[:-1]) + 1
    if len(new) < len(wanted):
        raise _too_few("distinct times", where, len(new) + 1, len(wanted) + 1)
    boundaries, end = [], len(new)
    for index in reversed(range(len(wanted))):  # leaves room for the boundaries before it
        end = index + int(np.abs(new[index:end] - wanted[index]).argmin())
        boundaries.append(int(new[end]))
    return boundaries[::-1]


def _check_none_missing(missing: Bool[np.ndarray, " _"], where: str) -> None:
    if missing.any():
        what = f"{missing.sum()} of {len(missing)} rows have no value in this column"
        remedy = f"fill in the column, or choose a different one: {where}=…"
        raise UserError(Fault(what, where, remedy=remedy))


def _too_few(what: str, where: str, count: int, least: int) -> UserError:
    remedy = f"choose a different column: {where}=…"
    return UserError(Fault(f"has too few {what}", where, f"{count}", f"{least} or more", remedy))
