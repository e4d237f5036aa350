"""The rows in training or validation of a run, by keys that recognise them in other tables, too."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from hashlib import sha256

import numpy as np
from jaxtyping import Bool, Int64

from mlplab.data.leaks.row_keys import DIGITS, RowHasher, Values
from mlplab.data.splits.split import Rows, Split, sample_rows
from mlplab.data.table import Table

TEST_SAMPLE = 10_000
"""At most this many test rows are compared with the rows in training and validation."""

MAX_FALSE = 1e-3
"""The largest share of test rows that may be mistaken for rows in training or validation."""

MANY_REPEATED = 0.05
"""The largest share of test rows that may repeat rows in training without a warning."""

STANDARD_ERRORS = 3
"""So many standard errors above what is expected by chance are still taken for chance."""

Recognised = Bool[np.ndarray, " some"]


@dataclass(frozen=True)
class SeenRows:
    """The rows in training or validation of a run, as sorted keys.

    Attributes:
        by_chance: of how many rows that were in neither, how many are recognised nonetheless. In tables of
            few categories, rows are equal by chance. 0 of 0 in runs of 1.0: it is unknown.
    """

    hasher: RowHasher
    train: Int64[np.ndarray, " train"]
    val: Int64[np.ndarray, " val"]
    by_chance: Int64[np.ndarray, "2"]

    @classmethod
    def of(cls, table: Table, split: Split, digits: int) -> "SeenRows":
        """The rows of train and val, by so many digits; test rows, or else those of val, show chance."""
        hasher, keys = table.row_keys(digits)
        train, val = np.unique(keys[split.train]), np.unique(keys[split.val])
        others, known = (split.test, np.union1d(train, val)) if len(split.test) else (split.val, train)
        others = sample_rows(others, TEST_SAMPLE)
        equal = hasher.recognised(table.values, others, known).sum()
        return cls(hasher, train, val, np.array([len(others), equal]))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "SeenRows":
        """The inverse of `arrays`."""
        hasher = RowHasher(*(arrays[field.name] for field in fields(RowHasher)))
        return cls(hasher, *(arrays[field.name] for field in fields(cls)[1:]))

    def arrays(self) -> dict[str, np.ndarray]:
        """Converts this to arrays, for a checkpoint."""
        return {**vars(self.hasher), **{field.name: getattr(self, field.name) for field in fields(self)[1:]}}

    @cached_property
    def digest(self) -> bytes:
        """Equal if the content is equal."""
        return sha256(b"".join(array.tobytes() for array in self.arrays().values())).digest()

    def recognised(self, values: Values, rows: Rows, *, in_training: bool = False) -> Recognised:
        """Which rows of a table were in training or validation, or only those that were `in_training`."""
        known = self.train if in_training else np.union1d(self.train, self.val)
        return self.hasher.recognised(values, rows, known)

    @property
    def chance(self) -> float:
        """The share of new rows that are recognised by chance; NaN if it is unknown."""
        others, equal = self.by_chance
        return equal / others if others else np.nan

    def is_chance(self, recognised: Recognised) -> bool:
        """Whether no more of some rows are recognised than of new rows, up to three standard errors."""
        count, equal = np.array([len(recognised), recognised.sum()]), self.by_chance
        if not equal[1]:
            return not count[1]
        rows, share = (count + equal)[0], (count + equal)[1] / (count + equal)[0]
        error = np.sqrt(share * (1 - share) * rows / (count[0] * equal[0]))
        return bool(count[1] / count[0] - self.chance <= STANDARD_ERRORS * error)


def seen_rows(table: Table, split: Split) -> SeenRows:
    """The rows of train and val, by as few digits as distinguish the test rows from them."""
    for digits in DIGITS:
        seen = SeenRows.of(table, split, digits)
        others, recognised = seen.by_chance
        if seen.hasher.is_exact or not recognised:
            break
        _, equal = SeenRows.of(table, split, DIGITS[-1]).by_chance
        if recognised - equal <= MAX_FALSE * others:
            break
    return seen


def repeated_test_rows(table: Table, split: Split, seen: SeenRows) -> int:
    """The number of test rows that equal a row of train or val in all columns.

    0 if they are few, or if there would be nearly as many by chance.
    """
    rows, test = split.test[seen.recognised(table.values, split.test)], len(split.test)
    if len(rows) and not seen.hasher.is_exact:
        rows = rows[SeenRows.of(table, split, DIGITS[-1]).recognised(table.values, rows)]
    if len(rows) <= MANY_REPEATED * test:
        return 0
    expected = _repeated_by_chance(table, split)
    error = np.sqrt(expected * (1 - expected / test))
    is_chance = len(rows) - expected <= max(STANDARD_ERRORS * error, MANY_REPEATED * test)
    return 0 if is_chance else len(rows)


def _repeated_by_chance(table: Table, split: Split) -> float:
    """How many test rows would equal a row of train or val if the columns were independent."""
    known = np.concatenate([split.train, split.val])
    log_equal = np.full(len(split.test), np.log(len(known)))  # how many rows equal each test row
    for column in (*table.x.T, *table.y.T):
        _, place = np.unique(column[np.concatenate([known, split.test])], return_inverse=True)
        counts = np.bincount(place[: len(known)], minlength=place.max() + 1)
        with np.errstate(divide="ignore"):
            log_equal += np.log(counts[place[len(known) :]] / len(known))
    return float((1 - np.exp(-np.exp(log_equal))).sum())
