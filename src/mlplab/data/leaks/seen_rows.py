"""The rows in training or validation of a run, by keys that recognise them in other tables, too."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from hashlib import sha256

import numpy as np
import polars as pl
from jaxtyping import Bool, Int64

from mlplab.data.leaks.row_keys import DIGITS, VALUES, RowHasher, TableValues
from mlplab.data.splits.split import Rows, Split, distinct, sample_rows
from mlplab.data.table import Table

Recognised = Bool[np.ndarray, " some"]


@dataclass(frozen=True)
class SeenRows:
    """The rows in training or validation of a run, as sorted keys.

    Attributes:
        by_chance: of how many other rows, how many are recognised nonetheless. In tables of few categories,
            rows are equal by chance. It is 0 if these are copies, and 0 of 0 in runs of 1.0: it is unknown.
    """

    hasher: RowHasher
    train: Int64[np.ndarray, " train"]
    val: Int64[np.ndarray, " val"]
    by_chance: Int64[np.ndarray, "2"]

    @classmethod
    def of(cls, table: Table, split: Split, digits: int) -> "SeenRows":
        """The rows of train and val, by so many digits; test rows show chance, or these themselves."""
        hasher, keys = table.row_keys(digits)
        train, val = distinct(keys[split.train]), distinct(keys[split.val])
        others = sample_rows(split.test, 10_000)
        equal = hasher.recognised(table.values, others, distinct(train, val)).sum()
        if not len(others):
            others = np.concatenate([split.train, split.val])
            _, counts = np.unique(keys[others], return_counts=True)
            equal = counts[counts > 1].sum()
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

    def recognised(self, values: TableValues, rows: Rows, *, in_training: bool = False) -> Recognised:
        """Which rows of a table were in training or validation, or only those that were `in_training`."""
        known = self.train if in_training else distinct(self.train, self.val)
        return self.hasher.recognised(values, rows, known)

    def chance(self, values: TableValues, rows: Rows) -> float:
        """The share of new rows recognised by chance, or if it is unknown, of rows that repeat others."""
        others, equal = self.by_chance
        return equal / others if others else 1 - len(distinct(self.hasher.keys(values, rows))) / len(rows)

    def is_chance(self, recognised: Recognised) -> bool:
        """Whether no more of some rows are recognised than of new rows, up to three standard errors."""
        count, equal = np.array([len(recognised), recognised.sum()]), self.by_chance
        if not (count[1] and equal[1]):
            return not count[1]
        rows, share = (count + equal)[0], (count + equal)[1] / (count + equal)[0]
        error = np.sqrt(share * (1 - share) * rows / (count[0] * equal[0]))
        return bool(count[1] / count[0] - equal[1] / equal[0] <= 3 * error)


def seen_rows(table: Table, split: Split) -> SeenRows:
    """The rows of train and val, by as few digits as distinguish all but 0.1% of the test rows from them."""
    for digits in DIGITS:
        seen = SeenRows.of(table, split, digits)
        others, recognised = seen.by_chance
        if recognised and not seen.hasher.is_exact:
            recognised -= SeenRows.of(table, split, DIGITS[-1]).by_chance[1]
        if seen.hasher.is_exact or recognised <= 1e-3 * others:
            break
    if seen.by_chance[1] and _are_copies(table, np.concatenate([*split.parts().values()])):
        return replace(seen, by_chance=seen.by_chance * np.array([1, 0]))
    return seen


def _are_copies(table: Table, rows: Rows) -> bool:
    """Whether rows that equal others in all columns are copies: equal inputs hardly ever have other targets.

    In tables of few categories, where rows are equal by chance, a tenth or more of them do, unless inputs
    determine the target; and there are few different targets.
    """
    rows = sample_rows(rows, VALUES // table.x.shape[1])
    if max(len(np.unique(target)) for target in table.y[rows].T) > 50:
        return True
    x = pl.DataFrame(table.x[rows])
    frame = x.with_columns(y=pl.DataFrame(table.y[rows]).to_struct())
    groups = frame.group_by(x.columns).agg(rows=pl.len(), targets=pl.col("y").n_unique())
    several = groups.filter(pl.col("rows") > 1)
    share = several.select(pl.col("rows").filter(pl.col("targets") > 1).sum() / pl.col("rows").sum()).item()
    return not share >= 0.1  # or NaN
