"""Keys of rows, by which rows are recognised in other tables, even if those have fewer digits."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import polars as pl
from jaxtyping import Bool, Float, Float64, Int64

from mlplab.data.splits.split import NO_ROWS, Rows, sample_rows

BLOCK, VALUES = 16_384, 2**21  # at most this many rows and values are in memory at a time, in several copies

DIGITS = (6, 7, 10, 14)
"""The significant digits, or decimals, that copies have at least: the fewest that distinguish a table's rows.

With 7, copies in float32 are still recognised, with 14 only those that were written with 15 or more.
"""

# Numbers that a row's columns are summed up in: two random rows agree in one about once in 10⁵ pairs.
PROJECTIONS = 4

# 2⁶⁴ over the golden ratio, rounded to an odd number, so that products of different factors differ.
MULTIPLIER = np.int64(0x9E3779B97F4A7C15 - 2**64)

CELL_MULTIPLIERS = np.cumprod(np.full(PROJECTIONS, MULTIPLIER))


Keys = Int64[np.ndarray, " row"]  # equal for equal rows, and hardly ever for others
Cells = Float64[np.ndarray, "row projection"]  # the location of each row, in widths of a cell


@dataclass(frozen=True)
class TableValues:
    """The numbers of a table in their own units; `offsets` were subtracted from its features."""

    x: Float[np.ndarray, "row feature"]
    y: Float64[np.ndarray, "row target"]
    offsets: Sequence[float]

    def of(self, rows: Rows) -> Float64[np.ndarray, "some column"]:
        """The features and targets of some rows."""
        return np.hstack([self.x[rows] + np.array(self.offsets, np.float64), self.y[rows]])


@dataclass(frozen=True)
class RowHasher:
    """Computes a key of each row, of its features and targets.

    Columns of up to 6 digits (codes and counts, too), dates, and which values are missing are compared
    exactly. All other columns are summed up in a few random projections, which are divided into cells. A key
    is a hash of both. A row and its copy are in the same or in neighbouring cells, because cells are wider
    than twice the error of a copy.

    Attributes:
        centre: the median of each column.
        spread: the median distance from it, without zeros.
        step: the last digit of columns that are compared exactly; 0 for those in float32, infinite for all
            others.
        projection: how many cells wide a spread is. Far from the centre, logarithms of distances are compared
            (arcsinh), since the error of a number grows with the number.
    """

    centre: Float64[np.ndarray, " column"]
    spread: Float64[np.ndarray, " column"]
    step: Float64[np.ndarray, " column"]
    projection: Float64[np.ndarray, "column projection"]

    @classmethod
    def of(cls, values: TableValues, dates: Sequence[bool], digits: int) -> "RowHasher":
        """Keys for a table, by the scales of its columns.

        Args:
            dates: whether each feature is of a date.
            digits: one of `DIGITS`.
        """
        rows = sample_rows(np.arange(len(values.x)), min(20_000, VALUES // values.x.shape[1]))
        centre, spread, step = np.array([_scale(column) for column in values.of(rows).T]).T
        step[: len(dates)][np.array(dates, np.bool_)] = 1e-5  # of years, sines and cosines
        with np.errstate(over="ignore"):
            magnitude = 1 + abs(centre) / spread
            # Of a copy, in spreads, unless float32 has a larger one.
            error = np.minimum(5e-6 * np.maximum(magnitude, 0.1 / spread), 1e-3) * 10.0 ** (6 - digits)
        features, float32 = len(dates), np.finfo(np.float32).eps / 2
        if digits <= 7:
            step[np.isinf(step) & (float32 * magnitude > 1e-2)] = 0  # compared exactly, but in float32
            error = np.maximum(error, float32 * magnitude)
        from_offset = 1 + abs(centre[:features] - values.offsets) / spread[:features]
        error[:features] = np.maximum(error[:features], np.finfo(values.x.dtype).eps * from_offset)
        generator = np.random.default_rng(0)
        weights = generator.uniform(1, 2, (len(step), PROJECTIONS))
        weights *= generator.choice((-1, 1), weights.shape) * np.isinf(step)[:, None]
        width = 8 * np.sqrt((weights**2).sum(0) / 3)  # of cells, four standard deviations of errors each way
        return cls(centre, spread, step, weights / error[:, None] / np.where(width > 0, width, 1))

    @property
    def is_exact(self) -> bool:
        """Whether all columns are compared exactly, so that the number of digits has no influence."""
        return not self.projection.any()

    def keys(self, values: TableValues, rows: Rows) -> Keys:
        """The keys of some rows."""
        parts = (_keys(hashes, np.floor(cells)) for hashes, cells in self._hashes_and_cells(values, rows))
        return np.concatenate([NO_ROWS, *parts])

    def recognised(self, values: TableValues, rows: Rows, known: Keys) -> Bool[np.ndarray, " some"]:
        """Which of some rows have a known key in their cell or in a neighbouring one, on the nearer sides."""
        parts, known_keys = list[np.ndarray](), pl.Series(known).implode()
        for hashes, cells in self._hashes_and_cells(values, rows):
            lower = np.floor(cells)
            sides = np.where(cells - lower < 0.5, -1, 1) * CELL_MULTIPLIERS
            neighbours = np.array([*product((0, 1), repeat=PROJECTIONS)]).T  # in these projections
            probes = _keys(hashes, lower)[:, None] + sides @ neighbours
            is_known = pl.Series(probes.ravel()).is_in(known_keys).to_numpy()
            parts.append(np.any(is_known.reshape(probes.shape), 1))
        return np.concatenate([np.empty(0, np.bool_), *parts])

    def _hashes_and_cells(self, values: TableValues, rows: Rows) -> Iterator[tuple[Keys, Cells]]:
        """A hash of what is compared exactly, and the location in cells; block by block."""
        in_float32, size = self.step == 0, min(BLOCK, max(1, VALUES // len(self.step)))
        for start in range(0, len(rows), size):
            block = values.of(rows[start : start + size])
            with np.errstate(over="ignore", invalid="ignore"):
                exact = np.rint(block / np.where(in_float32, 1, self.step)) + 0.0  # turns -0 into 0
                exact[:, in_float32] = block[:, in_float32].astype(np.float32)
                distance = np.arcsinh((block - self.centre) / self.spread)
            exact[np.isnan(exact)] = np.nan  # the same bits for all missing values
            distance = np.nan_to_num(distance, nan=0.0, posinf=1e3, neginf=-1e3)
            hashes = np.zeros(len(block), np.int64)
            for column in np.ascontiguousarray(exact.T).view(np.int64):
                hashes = (hashes ^ column) * MULTIPLIER
                hashes ^= hashes >> np.int64(29)
            yield hashes, distance @ self.projection


def _scale(column: Float64[np.ndarray, " some"]) -> tuple[float, float, float]:
    """Median and spread of a column, and its last digit if its numbers have up to 6; else infinity."""
    column = column[np.isfinite(column)]
    if not column.any():
        return 0.0, 1.0, 1.0
    centre = float(np.median(column))
    distances = abs(column - centre)
    spread = float(np.median(distances[distances > 0])) if distances.any() else abs(centre)
    step = 10.0 ** (np.ceil(np.log10(abs(column).max())) - 6)
    digits = column / step
    is_exact = bool((abs(digits - np.rint(digits)) < 0.1).all())  # float32 has an error of up to 0.06
    return centre, spread, step if is_exact else np.inf


def _keys(hashes: Keys, cells: Cells) -> Keys:
    return hashes + cells.astype(np.int64) @ CELL_MULTIPLIERS
