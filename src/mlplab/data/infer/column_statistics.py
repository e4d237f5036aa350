"""What the columns of a matrix hold, and cells that could not be read into it, taken down block by block."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Bool, Float, Float64, Int64


@dataclass
class ColumnStatistics:
    """What the columns of a matrix hold: how many values are missing, the smallest and the largest."""

    missing: Int64[np.ndarray, " column"]
    low: Float64[np.ndarray, " column"]
    high: Float64[np.ndarray, " column"]

    @classmethod
    def of_nothing(cls, columns: int) -> "ColumnStatistics":
        """Of a matrix without rows."""
        return cls(np.zeros(columns, dtype=np.int64), np.full(columns, np.inf), np.full(columns, -np.inf))

    def add(self, block: Float[np.ndarray, "row column"]) -> None:
        """Adds rows."""
        if len(block):
            self.missing += np.isnan(block).sum(0)
            self.low = np.fmin(self.low, np.fmin.reduce(block, 0))
            self.high = np.fmax(self.high, np.fmax.reduce(block, 0))

    def infinite(self, rows: int) -> Bool[np.ndarray, " column"]:
        """Which columns of so many rows hold an infinite value."""
        return (self.missing < rows) & (np.isinf(self.low) | np.isinf(self.high))


@dataclass
class BadCells:
    """Cells of a column that do not hold what they should: how many, and the first one's row and text.

    Attributes:
        scanned: the row, counting those that are blank.
    """

    count: int = 0
    row: int = 0
    scanned: int = 0
    text: str = ""

    def add(self, bad: pl.Series, start: int, scanned: Int64[np.ndarray, " row"]) -> None:
        """Adds the bad ones among rows from row `start` on, that were scanned as these."""
        if len(bad) and not self.count:
            self.row, self.scanned = start + bad[0], int(scanned[bad[0]])
        self.count += len(bad)
