"""Which rows of a table are train, val and test, and what that depends on."""

from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64

PARTS = ("train", "val", "test")

Rows = Int64[np.ndarray, " _"]  # row numbers of a table

Ints = Int64[np.ndarray, " _"]

NO_ROWS: Rows = np.empty(0, np.int64)

Codes = Int64[np.ndarray, " row"]
"""Class or group of each row of a table, counted from 0; negative if missing."""

Flags = Bool[np.ndarray, " row"]  # whether something is true of each row of a table

Times = Float64[np.ndarray, " row"]  # time of each row of a table, in any unit; NaN if missing


@dataclass(frozen=True)
class Split:
    """Row numbers of the train, val and test sets, ascending; no row is in two. Only test may be empty."""

    train: Rows
    val: Rows
    test: Rows

    def parts(self) -> dict[str, Rows]:
        """The sets by name."""
        return {name: getattr(self, name) for name in PARTS}

    def fingerprint(self) -> dict[str, str]:
        """A hash of the row numbers of each set."""
        return {name: sha256(rows.astype("<i8").data).hexdigest()[:16] for name, rows in self.parts().items()}


class SplitKeys(NamedTuple):
    """What a split depends on besides the row numbers; groups come before times, and times before classes.

    Classes that are too rare to stratify are stratified as one.
    """

    groups: Codes | None = None
    times: Times | None = None
    classes: Codes | None = None


NO_KEYS = SplitKeys()


def distinct(values: np.ndarray, *more: np.ndarray) -> np.ndarray:
    """The values of these arrays, each once, in order.

    That is `np.unique`, which sorts if it is to count, too. Else numpy 2.3 hashes, fifty times as slowly.
    """
    return np.unique(np.concatenate([values, *more]), return_counts=True)[0]


def sample_rows(rows: Rows, most: int) -> Rows:
    """At most `most` of the rows, drawn at random, in order; the same rows in every call."""
    if len(rows) <= most:
        return rows
    chosen = np.random.default_rng(0).choice(len(rows), most, replace=False, shuffle=False)
    return rows[np.sort(chosen)]
