"""What the training rows of each member say about the columns."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from mlplab.data.split import Rows

BLOCK = 65_536
"""Rows that are looked at together."""

SAMPLE = 200_000
"""At most so many rows, evenly spaced, say where the quantiles lie."""


@dataclass(frozen=True)
class Statistics:
    """Of each member's training rows; missing values (NaN) are left out.

    What describes numbers is given for every feature, and means nothing for a category's codes. Where a
    feature is missing in all rows it is 0. The deviation of a constant is given as 1, so that it can be
    divided by.

    Attributes:
        present: which categories occur, those of all features one after another.
        mode: the most frequent code, the smallest of several; 0 for numbers.
        y_mean: of the targets, or of their logarithms.
        y_std: likewise.
        knots: evenly spaced quantiles from the smallest value to the largest, if they were asked for.
    """

    mean: Float64[Tensor, "member 1 feature"]
    std: Float64[Tensor, "member 1 feature"]
    smallest: Float64[Tensor, "member 1 feature"]
    largest: Float64[Tensor, "member 1 feature"]
    median: Float64[Tensor, "member 1 feature"]
    q25: Float64[Tensor, "member 1 feature"]
    q75: Float64[Tensor, "member 1 feature"]
    present: Bool[Tensor, "member 1 category"]
    mode: Float64[Tensor, "member 1 feature"]
    y_mean: Float64[Tensor, "member 1 target"]
    y_std: Float64[Tensor, "member 1 target"]
    knots: Float64[Tensor, "member quantile feature"] | None = None

    @classmethod
    def of(
        cls,
        x: Float[np.ndarray, "row feature"],
        y: Float64[np.ndarray, "row target"],
        train: Sequence[Rows],
        *,
        categories: Sequence[int],
        quantiles: int | None = None,
        log_target: bool = False,
    ) -> "Statistics":
        """Computed in float64, in one pass over `x` and a look at a sample of it.

        Args:
            x: numbers and codes of categories; may lie in a file.
            train: the training rows of each member. Members that share one array cost no more than one.
            categories: how many each feature has; 0 for a number.
            quantiles: how many knots.
            log_target: whether the mean and deviation of the target are those of its logarithm.
        """
        distinct = {id(rows): rows for rows in train}
        each = {
            key: _of_rows(x, y, rows, np.asarray(categories, np.int64), quantiles, log_target)
            for key, rows in distinct.items()
        }
        return cls(
            **{
                name: torch.from_numpy(np.stack([each[id(rows)][name] for rows in train]))
                for name in each[id(train[0])]
            }
        )

    def tensors(self) -> dict[str, Tensor]:
        """All there are, by name."""
        return {name: value for name, value in vars(self).items() if value is not None}


class _Moments:
    """Mean, sum of squared distances from it, and extremes of columns, block by block (Chan et al. 1979).

    Of a single block, mean and deviation have the bits that numpy gives them.
    """

    def __init__(self, columns: int) -> None:
        self.count, self.mean, self.squares = np.zeros((3, columns))
        self.smallest, self.largest = np.full(columns, np.inf), np.full(columns, -np.inf)

    def add(self, block: Float64[np.ndarray, "row column"]) -> None:
        count = (~np.isnan(block)).sum(0)
        mean = np.nansum(block, 0) / np.maximum(count, 1)
        squares = np.nansum(np.square(block - mean), 0)
        delta, total = mean - self.mean, np.maximum(self.count + count, 1)
        self.mean += delta * (count / total)
        self.squares += squares + np.square(delta) * (self.count * count / total)
        self.count += count
        self.smallest = np.fmin(self.smallest, np.fmin.reduce(block))
        self.largest = np.fmax(self.largest, np.fmax.reduce(block))

    def std(self) -> Float64[np.ndarray, " column"]:
        """A constant is one by its extremes: rounding gives it a deviation of about 1e-16."""
        varies = self.smallest < self.largest
        return np.where(varies, np.sqrt(self.squares / np.maximum(self.count, 1)), 1.0)


def _of_rows(
    x: Float[np.ndarray, "row feature"],
    y: Float64[np.ndarray, "row target"],
    rows: Rows,
    categories: Int64[np.ndarray, " feature"],
    quantiles: int | None,
    log_target: bool,
) -> dict[str, np.ndarray]:
    """The fields of `Statistics`, without the member axis."""
    columns, begins = np.flatnonzero(categories), np.cumsum(categories) - categories
    counts = np.zeros(categories.sum(), np.int64)
    inputs, targets = _Moments(x.shape[1]), _Moments(y.shape[1])
    for start in range(0, len(rows), BLOCK):
        part = rows[start : start + BLOCK]
        block = np.asarray(x[part], np.float64)
        inputs.add(block)
        targets.add(np.log(y[part]) if log_target else y[part])
        codes = block[:, columns] + begins[columns]
        counts += np.bincount(codes[~np.isnan(codes)].astype(np.int64), minlength=len(counts))
    modes = [
        counts[begin : begin + size].argmax() if size else 0
        for begin, size in zip(begins, categories, strict=True)
    ]
    seen = inputs.count > 0
    found = {
        "mean": inputs.mean,
        "std": inputs.std(),
        "smallest": np.where(seen, inputs.smallest, 0.0),
        "largest": np.where(seen, inputs.largest, 0.0),
        "present": counts > 0,
        "mode": np.array(modes, np.float64),
        "y_mean": targets.mean,
        "y_std": targets.std(),
        **_order_statistics(x[rows[:: -(-len(rows) // SAMPLE)]], quantiles),
    }
    return {name: np.atleast_2d(values) for name, values in found.items()}


def _order_statistics(
    sample: Float[np.ndarray, "row feature"], quantiles: int | None
) -> dict[str, Float64[np.ndarray, "*quantile feature"]]:
    """Median, quartiles and knots of each column, 0 where all is missing. Sorts the sample."""
    sample.sort(0)  # NaN last
    count, columns = (~np.isnan(sample)).sum(0), np.arange(sample.shape[1])

    def at(place: Int64[np.ndarray, "*quantile feature"]) -> Float64[np.ndarray, "*quantile feature"]:
        return np.where(count > 0, sample[place, columns], 0).astype(np.float64)

    def quantile(
        share: Float64[np.ndarray, "quantile 1"] | float,
    ) -> Float64[np.ndarray, "*quantile feature"]:
        place = share * np.maximum(count - 1, 0)
        below = place.astype(np.int64)
        low, high = at(below), at(np.minimum(below + 1, np.maximum(count - 1, 0)))
        return np.minimum(low + (place - below) * (high - low), high)

    found = {
        "median": (at(np.maximum(count - 1, 0) // 2) + at(count // 2)) / 2,
        "q25": quantile(0.25),
        "q75": quantile(0.75),
    }
    if quantiles is not None:
        found["knots"] = quantile(np.linspace(0, 1, quantiles)[:, None])
    return found
