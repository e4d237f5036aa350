"""The rows in training or validation of a run, by keys that recognise them in other tables, too."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from math import sqrt
from typing import Any

import numpy as np
from jaxtyping import Bool, Int64

from mlplab.data.leaks.row_keys import DIGITS, RowKeys, Values
from mlplab.data.splits.split import Rows, Split, sample_rows
from mlplab.data.table import Table

TEST_SAMPLE = 10_000
"""At most this many test rows are compared with the rows in training and validation."""

MAX_FALSE = 1e-3
"""The largest share of test rows that may be mistaken for rows in training or validation."""

DEVIATIONS = 3
"""A share is clearly above another if the difference has that many standard errors."""


@dataclass(frozen=True)
class SeenRows:
    """The rows in training or validation of a run, and how many of its test rows resemble them.

    Attributes:
        features: the sorted keys of their features.
        rows: the sorted keys of their features and targets.
        test: the number of test rows (or of a sample) that are none of these rows.
        repeated: how many of them have the features of one of these rows.
    """

    row_keys: RowKeys
    features: Int64[np.ndarray, " _"]
    rows: Int64[np.ndarray, " _"]
    test: int = 0
    repeated: int = 0

    @classmethod
    def of(cls, table: Table, split: Split, digits: int) -> "SeenRows":
        """The rows of train and val, by so many digits; without the counts of test rows."""
        row_keys, keys = table.row_keys(digits)
        rows = np.concatenate([split.train, split.val])
        return cls(row_keys, np.unique(keys[0, rows]), np.unique(keys[1, rows]))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> "SeenRows":
        """The inverse of `arrays`."""
        features, test, repeated = map(int, arrays["counts"])
        scales = (arrays[name] for name in ("centre", "spread", "step", "projection"))
        return cls(RowKeys(features, *scales), arrays["features"], arrays["rows"], test, repeated)

    def arrays(self) -> dict[str, np.ndarray]:
        """Converts this to arrays, for a checkpoint."""
        keys = self.row_keys
        scales = {"centre": keys.centre, "spread": keys.spread, "step": keys.step}
        counts = np.array([keys.features, self.test, self.repeated])
        rows = {"features": self.features, "rows": self.rows}
        return {"counts": counts, **scales, "projection": keys.projection, **rows}

    @cached_property
    def digest(self) -> bytes:
        """Equal if the content is equal."""
        return sha256(b"".join(array.tobytes() for array in self.arrays().values())).digest()

    def recognised(self, values: Values, rows: Rows) -> Bool[np.ndarray, "2 some"]:
        """Which rows of a table have the features of rows in training or validation; which are such rows."""
        return self.row_keys.recognised(values, rows, (self.features, self.rows))

    def is_unusual(self, repeated: int, total: int) -> bool:
        """Whether clearly more of other rows than of the test rows have the features of one of these rows."""
        if not (total and self.test):
            return False
        share = (repeated + self.repeated) / (total + self.test)
        error = sqrt(share * (1 - share) * (1 / total + 1 / self.test))
        return repeated / total - self.repeated / self.test > DEVIATIONS * error


def seen_rows(table: Table, split: Split) -> SeenRows:
    """The rows of train and val, by as few digits as distinguish the test rows from them."""
    test = sample_rows(split.test, TEST_SAMPLE)
    for digits in DIGITS:
        seen = SeenRows.of(table, split, digits)
        features, rows = seen.recognised(table.values, test)
        if seen.row_keys.is_exact or digits == DIGITS[-1] or not rows.any():
            break
        equal = SeenRows.of(table, split, DIGITS[-1]).recognised(table.values, test)[1]
        if (rows & ~equal).mean() <= MAX_FALSE:
            break
    return replace(seen, test=int((~rows).sum()), repeated=int((features & ~rows).sum()))


def count_repeated(table: Table, split: Split, seen: SeenRows) -> int:
    """The number of test rows that equal a row of train or val in all columns."""
    rows = split.test[seen.recognised(table.values, split.test)[1]]
    if len(rows) and not seen.row_keys.is_exact:
        return int(SeenRows.of(table, split, DIGITS[-1]).recognised(table.values, rows)[1].sum())
    return len(rows)
