"""What the training rows of each member say about the columns."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from mlplab.data.splits.splitters import Rows

BLOCK = 65_536
"""Rows that are looked at together."""

SAMPLE = 200_000
"""Most rows of which medians and quantiles are computed; of more, a random sample of so many."""

QUANTILES = (10, 1000)
"""Fewest and most quantiles of a feature; in between, one for every 30 training rows (as TabM has it)."""

EPSILON = 1e-12
"""Relative rounding of sums of weights."""


@dataclass(frozen=True)
class Statistics:
    """Of each member's training rows, weighted by row weights; missing values (NaN) and rows of weight 0 are
    left out.

    What describes numbers is given for every feature, and means nothing for a category's codes. Where a
    feature is missing in all rows it is 0. The deviation of a constant is given as 1, so that it can be
    divided by.

    Attributes:
        present: which categories occur, those of all features one after another.
        mode: the most frequent code, the smallest of several; 0 for numbers.
        y_mean: of the targets, or of their logarithms.
        y_std: likewise.
        quantiles: evenly spaced ones from the smallest value to the largest, if they were asked for. How many
            depends on the member's own training rows; the largest value fills up the rest of `QUANTILES[1]`.
        quantile_count: how many of them are the member's.
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
    quantiles: Float64[Tensor, "member quantile feature"] | None = None
    quantile_count: Float64[Tensor, "member 1 feature"] | None = None

    @classmethod
    def of(
        cls,
        x: Float[np.ndarray, "row feature"],
        y: Float64[np.ndarray, "row target"],
        train: Sequence[Rows],
        *,
        categories: Sequence[int],
        weight: Float[np.ndarray, " row"] | None = None,
        quantiles: bool = False,
        log_target: bool = False,
    ) -> "Statistics":
        """Computed in float64, in one pass over `x` and a look at a sample of it.

        Args:
            x: numbers and codes of categories; may lie in a file.
            train: the training rows of each member. Members that share one array cost no more than one.
            categories: how many each feature has; 0 for a number.
            weight: of each row, in any unit; None where all rows have the same.
            quantiles: whether to compute them.
            log_target: whether the mean and deviation of the target are those of its logarithm.
        """
        distinct = {id(rows): rows for rows in train}
        each = {
            key: _of_rows(x, y, rows, np.asarray(categories, np.int64), weight, quantiles, log_target)
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

    Of a single block without weights, mean and deviation have the bits that numpy gives them.
    """

    def __init__(self, columns: int) -> None:
        self.total, self.mean, self.squares = np.zeros((3, columns))
        self.smallest, self.largest = np.full(columns, np.inf), np.full(columns, -np.inf)

    def add(
        self, block: Float64[np.ndarray, "row column"], weight: Float64[np.ndarray, "row 1"] | None
    ) -> None:
        def summed(values: Float64[np.ndarray, "row column"]) -> Float64[np.ndarray, " column"]:
            return np.nansum(values if weight is None else values * weight, 0)

        known = ~np.isnan(block)
        added = (known if weight is None else known * weight).sum(0)
        mean = summed(block) / np.where(added > 0, added, 1)
        squares = summed(np.square(block - mean))
        total = self.total + added
        share = added / np.where(total > 0, total, 1)
        delta = mean - self.mean
        self.squares += squares + np.square(delta) * (self.total * share)
        self.mean += delta * share
        self.total = total
        self.smallest = np.fmin(self.smallest, np.fmin.reduce(block))
        self.largest = np.fmax(self.largest, np.fmax.reduce(block))

    def std(self) -> Float64[np.ndarray, " column"]:
        """A constant is one by its extremes: rounding gives it a deviation of about 1e-16."""
        varies = self.smallest < self.largest
        return np.where(varies, np.sqrt(self.squares / np.where(self.total > 0, self.total, 1)), 1.0)


def _of_rows(
    x: Float[np.ndarray, "row feature"],
    y: Float64[np.ndarray, "row target"],
    rows: Rows,
    categories: Int64[np.ndarray, " feature"],
    weight: Float[np.ndarray, " row"] | None,
    quantiles: bool,
    log_target: bool,
) -> dict[str, np.ndarray]:
    """The fields of `Statistics`, without the member axis."""
    if weight is not None:
        rows = rows[weight[rows] > 0]
        if np.ptp(weight[rows]) == 0:
            weight = None
    columns, begins = np.flatnonzero(categories), np.cumsum(categories) - categories
    counts = np.zeros(categories.sum())
    inputs, targets = _Moments(x.shape[1]), _Moments(y.shape[1])
    for start in range(0, len(rows), BLOCK):
        part = rows[start : start + BLOCK]
        own = None if weight is None else np.asarray(weight[part], np.float64)[:, None]
        block = np.asarray(x[part], np.float64)
        inputs.add(block, own)
        targets.add(np.log(y[part]) if log_target else y[part], own)
        codes = block[:, columns] + begins[columns]
        known = ~np.isnan(codes)
        times = None if own is None else np.broadcast_to(own, codes.shape)[known]
        counts += np.bincount(codes[known].astype(np.int64), times, minlength=len(counts))
    modes = [
        counts[begin : begin + size].argmax() if size else 0
        for begin, size in zip(begins, categories, strict=True)
    ]
    seen = inputs.total > 0
    sampled = sample_rows(rows, SAMPLE)
    fewest, most = QUANTILES
    found = {
        "mean": inputs.mean,
        "std": inputs.std(),
        "smallest": np.where(seen, inputs.smallest, 0.0),
        "largest": np.where(seen, inputs.largest, 0.0),
        "present": counts > 0,
        "mode": np.array(modes, np.float64),
        "y_mean": targets.mean,
        "y_std": targets.std(),
        **_order_statistics(
            x[sampled],
            None if weight is None else weight[sampled],
            min(max(len(rows) // 30, fewest), most) if quantiles else None,
        ),
    }
    return {name: np.atleast_2d(values) for name, values in found.items()}


def sample_rows(rows: Rows, most: int) -> Rows:
    """All of the rows, or a random `most` of them, ascending; the same ones each time."""
    if len(rows) <= most:
        return rows
    chosen = np.random.default_rng(0).choice(len(rows), most, replace=False, shuffle=False)
    return rows[np.sort(chosen)]


def _order_statistics(
    sample: Float[np.ndarray, "row feature"],
    weight: Float[np.ndarray, " row"] | None,
    quantiles: int | None,
) -> dict[str, Float64[np.ndarray, "*quantile feature"]]:
    """Median, quartiles and quantiles of each column, 0 where all is missing."""
    shares = np.array([0.5, 0.25, 0.75, *(np.linspace(0, 1, quantiles) if quantiles else ())])
    values = _quantiles(sample, shares) if weight is None else _weighted_quantiles(sample, weight, shares)
    found = dict(zip(("median", "q25", "q75"), values, strict=False))
    if quantiles:
        found["quantiles"] = np.pad(values[3:], ((0, QUANTILES[1] - quantiles), (0, 0)), mode="edge")
        found["quantile_count"] = np.full(sample.shape[1], float(quantiles))
    return found


def _quantiles(
    sample: Float[np.ndarray, "row feature"], shares: Float64[np.ndarray, " share"]
) -> Float64[np.ndarray, "share feature"]:
    """Linear between neighbours, as numpy's default. Sorts the sample."""
    sample.sort(0)  # NaN last
    count, columns = (~np.isnan(sample)).sum(0), np.arange(sample.shape[1])

    def at(place: Int64[np.ndarray, "share feature"]) -> Float64[np.ndarray, "share feature"]:
        return np.where(count > 0, sample[place, columns], 0).astype(np.float64)

    place = shares[:, None] * np.maximum(count - 1, 0)
    below = place.astype(np.int64)
    low, high = at(below), at(np.minimum(below + 1, np.maximum(count - 1, 0)))
    middle = (low + high) / 2  # of the median numpy takes this one
    return np.where(place - below == 0.5, middle, np.minimum(low + (place - below) * (high - low), high))


def _weighted_quantiles(
    sample: Float[np.ndarray, "row feature"],
    weight: Float[np.ndarray, " row"],
    shares: Float64[np.ndarray, " share"],
) -> Float64[np.ndarray, "share feature"]:
    """The smallest value with at least that share of all weight up to it; where it is exactly that share, the
    mean of this value and the next (averaged inverted distribution function: Hyndman & Fan 1996, type 2).

    So a weight of 2 is the same as the row twice, and the weights' unit does not matter.
    """
    found = np.zeros((len(shares), sample.shape[1]))
    for feature, values in enumerate(sample.T):
        known = ~np.isnan(values)
        if known.any():
            order = np.argsort(values[known], kind="stable")
            ascending = values[known][order].astype(np.float64)
            below = np.cumsum(weight[known][order], dtype=np.float64)
            wanted, last = shares * below[-1], len(ascending) - 1
            first = np.searchsorted(below, wanted * (1 - EPSILON), "left").clip(max=last)
            after = np.searchsorted(below, wanted * (1 + EPSILON), "right").clip(max=last)
            found[:, feature] = (ascending[first] + ascending[after]) / 2
    return found
