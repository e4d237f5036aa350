"""Which rows of a table are train, val and test."""

from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from jaxtyping import Int64

PARTS = ("train", "val", "test")

Rows = Int64[np.ndarray, " _"]
"""Row numbers of a table."""


@dataclass(frozen=True)
class Split:
    """Row numbers of the train, val and test sets, ascending; no row is in two sets."""

    train: Rows
    val: Rows
    test: Rows

    def parts(self) -> dict[str, Rows]:
        """The sets by name."""
        return {name: getattr(self, name) for name in PARTS}

    def fingerprint(self) -> dict[str, str]:
        """A hash of the row numbers of each set."""
        return {
            name: sha256(rows.astype("<i8").tobytes()).hexdigest()[:16] for name, rows in self.parts().items()
        }


def sample_rows(rows: Rows, most: int) -> Rows:
    """At most `most` of the rows, drawn at random, in order; the same rows in every call."""
    if len(rows) <= most:
        return rows
    chosen = np.random.default_rng(0).choice(len(rows), most, replace=False, shuffle=False)
    return rows[np.sort(chosen)]
