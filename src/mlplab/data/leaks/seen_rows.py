"""The rows in training or validation of a run, by keys that recognise them in other tables, too."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from hashlib import sha256
from typing import Any

import numpy as np
from jaxtyping import Bool, Int64

from mlplab.data.leaks.row_keys import DIGITS, RowHasher, Values
from mlplab.data.splits.split import Rows, Split, sample_rows
from mlplab.data.table import Table

TEST_SAMPLE = 10_000
"""At most this many test rows are compared with the rows in training and validation."""

MAX_FALSE = 1e-3
"""The largest share of test rows that may be mistaken for rows in training or validation."""


@dataclass(frozen=True)
class SeenRows:
    """The rows in training or validation of a run, as sorted keys."""

    hasher: RowHasher
    keys: Int64[np.ndarray, " _"]

    @classmethod
    def of(cls, table: Table, split: Split, digits: int) -> "SeenRows":
        """The rows of train and val, by so many digits."""
        hasher, keys = table.row_keys(digits)
        return cls(hasher, np.unique(keys[np.concatenate([split.train, split.val])]))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> "SeenRows":
        """The inverse of `arrays`."""
        return cls(RowHasher(*(arrays[field.name] for field in fields(RowHasher))), arrays["keys"])

    def arrays(self) -> dict[str, np.ndarray]:
        """Converts this to arrays, for a checkpoint."""
        return {**vars(self.hasher), "keys": self.keys}

    @cached_property
    def digest(self) -> bytes:
        """Equal if the content is equal."""
        return sha256(b"".join(array.tobytes() for array in self.arrays().values())).digest()

    def recognised(self, values: Values, rows: Rows) -> Bool[np.ndarray, " some"]:
        """Which rows of a table were in training or validation."""
        return self.hasher.recognised(values, rows, self.keys)


def seen_rows(table: Table, split: Split) -> SeenRows:
    """The rows of train and val, by as few digits as distinguish the test rows from them."""
    test = sample_rows(split.test, TEST_SAMPLE)
    for digits in DIGITS:
        seen = SeenRows.of(table, split, digits)
        if seen.hasher.is_exact or not (recognised := seen.recognised(table.values, test)).any():
            break
        equal = SeenRows.of(table, split, DIGITS[-1]).recognised(table.values, test)
        if (recognised & ~equal).mean() <= MAX_FALSE:
            break
    return seen


def count_repeated(table: Table, split: Split, seen: SeenRows) -> int:
    """The number of test rows that equal a row of train or val in all columns."""
    rows = split.test[seen.recognised(table.values, split.test)]
    if len(rows) and not seen.hasher.is_exact:
        return int(SeenRows.of(table, split, DIGITS[-1]).recognised(table.values, rows).sum())
    return len(rows)
