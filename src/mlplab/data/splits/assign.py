"""How rows are dealt to parts: at random, class by class, in whole groups, or in order of time."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float64, Int64

from mlplab.errors import Fault, UserError, listed

Ints = Int64[np.ndarray, " _"]


def dealt(
    rows: Ints,
    sizes: Sequence[int],
    generator: np.random.Generator,
    classes: Int64[np.ndarray, " row"] | None,
) -> list[Ints]:
    """`rows` in random order, cut into parts of these sizes.

    With `classes`, of the whole table, each part has its share of each (`shares`).
    """
    rows = generator.permutation(rows)
    if classes is None:
        return np.split(rows, np.cumsum(sizes)[:-1])
    rows = rows[np.argsort(classes[rows], kind="stable")]
    counts = shares(np.unique(classes[rows], return_counts=True)[1], np.array(sizes))
    part_of = np.repeat(np.tile(np.arange(len(sizes)), len(counts)), counts.ravel())
    return [rows[part_of == part] for part in range(len(sizes))]


def shares(
    classes: Int64[np.ndarray, " class"], parts: Int64[np.ndarray, " part"]
) -> Int64[np.ndarray, "class part"]:
    """How many rows of each class go to each part, from the sizes of both, which have the same sum.

    Each number is the proportional one, rounded up or down, unless that leaves a part without a class: it
    then gets a row of it from the part that has most, in exchange for one of the class that best spares it.
    With at least as many rows in each part as classes, and in each class as parts, every number is above 0.
    """
    quotas = np.outer(classes, parts) / classes.sum()
    counts = np.ceil(quotas).astype(np.int64) - 1
    # Gale and Ryser: if any rounding meets both sums, so does this one, class by class to the neediest parts.
    need = parts - counts.sum(axis=0)
    for number, more in enumerate(classes - counts.sum(axis=1)):
        neediest = np.argsort(-need, kind="stable")[:more]
        counts[number, neediest] += 1
        need[neediest] -= 1
    for number, part in np.argwhere(counts == 0):
        source = counts[number].argmax()
        spare = (counts - quotas)[:, part] - (counts - quotas)[:, source]
        other = np.where(counts[:, part] > 1, spare, -np.inf).argmax()
        if counts[number, source] > 1 and counts[other, part] > 1:
            counts[[number, other], [part, source]] += 1
            counts[[number, other], [source, part]] -= 1
    return counts


def check_classes(codes: Ints, names: Sequence[str], least: int) -> None:
    """Refuses rows of no class, a single class, and classes of fewer than `least` rows.

    Raises:
        UserError: that says which.
    """
    where = "data.split.stratify"
    remedy = f"take another column, or none: {where}=null"
    _check_all_have_one(codes < 0, where)
    kinds, sizes = np.unique(codes, return_counts=True)
    if len(kinds) < 2:
        found = listed(f"'{names[kind]}'" for kind in kinds)
        raise UserError(Fault("has a single class", where, found, "two or more", remedy))
    rare = [
        Fault(f"class '{names[kind]}' is too rare", where, f"rows: {size}", f"{least} or more", remedy)
        for kind, size in zip(kinds, sizes, strict=True)
        if size < least
    ]
    if rare:
        raise UserError(*rare)


def numbered_groups(codes: Ints, least: int) -> tuple[Ints, Ints]:
    """The group of each row, counted anew from 0, and the groups' sizes.

    Raises:
        UserError: if there are fewer than `least`, or a row has none.
    """
    where = "data.split.group"
    _check_all_have_one(codes < 0, where)
    _, numbers, sizes = np.unique(codes, return_inverse=True, return_counts=True)
    if len(sizes) < least:
        found, remedy = f"{len(sizes)}", f"take another column: {where}=…"
        raise UserError(Fault("has too few groups", where, found, f"{least} or more", remedy))
    return numbers, sizes


def whole_groups(order: Ints, sizes: Ints, wanted: float, *, left: int) -> Ints:
    """Of the groups in this order, those that each bring the sum of sizes nearer to `wanted`; at least one.

    `left` groups at least are not taken.
    """
    taken: list[int] = []
    rows = 0
    for group in order:
        if sizes[group] < 2 * (wanted - rows) and len(taken) < len(order) - left:
            taken.append(group)
            rows += sizes[group]
    return np.array(taken or [order[sizes[order].argmin()]])


def balanced(order: Ints, sizes: Ints, folds: int) -> Ints:
    """The fold of each group: the largest first, each goes where the fewest rows are; `order` breaks ties."""
    fold_of, rows = np.empty(len(order), np.int64), np.zeros(folds, np.int64)
    for group in order[np.argsort(-sizes[order], kind="stable")]:
        fold_of[group] = rows.argmin()
        rows[fold_of[group]] += sizes[group]
    return fold_of


def starts(times: Float64[np.ndarray, " _"], wanted: Sequence[float | int]) -> list[int]:
    """For ascending times, places as near as can be to those wanted, at each of which a new time begins.

    Raises:
        UserError: if there are too few times for as many places, or a row has none.
    """
    where = "data.split.time"
    _check_all_have_one(np.isnan(times), where)
    new = np.flatnonzero(times[1:] != times[:-1]) + 1
    if len(new) < len(wanted):
        found, remedy = f"{len(new) + 1}", f"take another column: {where}=…"
        raise UserError(
            Fault("has too few different times", where, found, f"{len(wanted) + 1} or more", remedy)
        )
    found_at, end = [], len(new)
    for before in reversed(range(len(wanted))):
        end = before + int(np.abs(new[before:end] - wanted[before]).argmin())
        found_at.append(int(new[end]))
    return found_at[::-1]


def _check_all_have_one(missing: Bool[np.ndarray, " _"], where: str) -> None:
    if missing.any():
        what = f"{missing.sum()} of {len(missing)} rows have no value there"
        raise UserError(Fault(what, where, remedy=f"fill in the column, or take another: {where}=…"))
