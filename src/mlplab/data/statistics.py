"""Statistics of each member's training rows, for its preprocessing."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from mlplab.data.splits.split import Rows, sample_rows
from mlplab.data.table import BLOCK, Table

Weights = Float64[np.ndarray, "row 1"] | np.float64  # weights of rows, or that of all rows

SAMPLE = 200_000  # medians and quantiles are computed from at most this many rows, drawn at random

# Smallest and largest number of quantiles per feature; in between, one per 30 training rows (as in TabM).
QUANTILES = (10, 1000)

EPSILON = 1e-12  # relative rounding error of sums of weights


def member_statistics(
    table: Table, train: Sequence[Rows], *, quantiles: bool = False, bins: int = 0, log_target: bool = False
) -> dict[str, Tensor]:
    """Statistics of each member's training rows, computed in float64 and weighted by row weights.

    Missing values (NaN) and rows of weight 0 are left out. There is one pass over the table, and another over
    a sample of it; members with the same array of rows are computed once.

    Returns:
        By name, with the shape `[member, 1, feature]`:

        - mean, std, minimum, maximum, median, q25, q75: meaningless for codes; 0 if all values are missing.
          The standard deviation of a constant is 1, so that one can divide by it;
        - mode: the most frequent code (the smallest if there are several); 0 for numeric features;
        - present: which categories occur, concatenated over features;
        - y_mean, y_std: of the targets, or with `log_target` of their logarithms;
        - y_minimum, y_maximum: of the targets themselves;
        - with `quantiles`, evenly spaced quantiles `[member, quantile, feature]` from the minimum to the
          maximum. Their number, quantile_count, depends on the member's own rows; the maximum is repeated up
          to `QUANTILES[1]`;
        - with `bins`, knots: evenly spaced quantiles `[member, knot, feature]`, the ends of so many bins.
    """
    x, y, weight, categories = table.x, table.y, table.weight, table.schema.category_counts
    columns, offsets = np.flatnonzero(categories), np.cumsum(categories) - categories

    def of_rows(rows: Rows) -> dict[str, np.ndarray]:
        rows = rows if weight is None else rows[weight[rows] > 0]
        of_row = None if weight is None or np.ptp(weight[rows]) == 0 else weight
        counts = np.zeros(sum(categories))
        inputs, targets = _RunningMoments(x.shape[1]), _RunningMoments(y.shape[1])
        for start in range(0, len(rows), BLOCK):
            part = rows[start : start + BLOCK]
            weights = np.float64(1) if of_row is None else np.asarray(of_row[part], np.float64)[:, None]
            block = np.asarray(x[part], np.float64)
            inputs.add(block, weights)
            targets.add(np.log(y[part]) if log_target else y[part], weights)
            codes = block[:, columns] + offsets[columns]
            known = ~np.isnan(codes)
            code_weights = np.broadcast_to(weights, codes.shape)[known]
            counts += np.bincount(codes[known].astype(np.int64), code_weights, minlength=len(counts))
        by_feature = np.split(counts, offsets[1:])
        modes = [feature_counts.argmax() if len(feature_counts) else 0 for feature_counts in by_feature]
        known = inputs.total > 0
        sample = sample_rows(rows, SAMPLE)
        count = min(max(len(rows) // 30, QUANTILES[0]), QUANTILES[1])
        spaced = np.pad(np.linspace(0, 1, count), (0, QUANTILES[1] - count), mode="edge")
        levels = [0.5, 0.25, 0.75, *(spaced if quantiles else ()), *np.linspace(0, 1, bins + 1)]
        ordered = np.zeros((len(levels), x.shape[1]))
        for feature, values in enumerate(x[sample].T):
            if len(present := np.flatnonzero(~np.isnan(values))):
                value_weights = None if of_row is None else of_row[sample[present]]
                ordered[:, feature] = _quantiles(values[present], value_weights, np.array(levels))
        results = {
            "mean": inputs.mean,
            "std": inputs.std(),
            "minimum": np.where(known, inputs.minimum, 0.0),
            "maximum": np.where(known, inputs.maximum, 0.0),
            **dict(zip(("median", "q25", "q75"), ordered, strict=False)),
            "present": counts > 0,
            "mode": np.array(modes, np.float64),
            "y_mean": targets.mean,
            "y_std": targets.std(),
            "y_minimum": y[rows].min(0),
            "y_maximum": y[rows].max(0),
        }
        if quantiles:
            results["quantiles"] = ordered[3 : -bins - 1]
            results["quantile_count"] = np.full(x.shape[1], float(count))
        if bins:
            results["knots"] = ordered[-bins - 1 :]
        return {name: np.atleast_2d(values) for name, values in results.items()}

    computed = {key: of_rows(rows) for key, rows in {id(rows): rows for rows in train}.items()}
    members = [computed[id(rows)] for rows in train]
    return {name: torch.from_numpy(np.stack([member[name] for member in members])) for name in members[0]}


class _RunningMoments:
    """Mean, sum of squared deviations, minimum and maximum of columns, block by block (Chan et al. 1979).

    For a single block without weights, mean and standard deviation have the same bits as numpy's.
    """

    def __init__(self, columns: int) -> None:
        self.total, self.mean, self.squares = np.zeros((3, columns))
        self.minimum, self.maximum = np.full(columns, np.inf), np.full(columns, -np.inf)

    def add(self, block: Float64[np.ndarray, "row column"], weight: Weights) -> None:
        added = (~np.isnan(block) * weight).sum(0)
        mean = np.nansum(block * weight, 0) / np.where(added > 0, added, 1)
        squares = np.nansum(np.square(block - mean) * weight, 0)
        total = self.total + added
        share = added / np.where(total > 0, total, 1)
        delta = mean - self.mean
        self.squares += squares + np.square(delta) * (self.total * share)
        self.mean += delta * share
        self.total = total
        self.minimum = np.fmin(self.minimum, np.fmin.reduce(block))
        self.maximum = np.fmax(self.maximum, np.fmax.reduce(block))

    def std(self) -> Float64[np.ndarray, " column"]:
        """The standard deviation; 1 for constants, for which rounding would give about 1e-16."""
        varies = self.minimum < self.maximum
        return np.where(varies, np.sqrt(self.squares / np.where(self.total > 0, self.total, 1)), 1.0)


def _quantiles(
    values: Float[np.ndarray, " some"],
    weight: Float[np.ndarray, " some"] | None,
    levels: Float64[np.ndarray, " level"],
) -> Float64[np.ndarray, " level"]:
    """Quantiles by linear interpolation, numpy's default; with weights, by the cumulative weight.

    A weighted quantile is the smallest value at which the cumulative weight reaches the level's share of all
    weight. If it reaches exactly that share, it is the mean of this value and the next (averaged inverted
    distribution function: Hyndman & Fan 1996, type 2). So a weight of 2 equals two rows, and the weights'
    unit does not matter.
    """
    last = len(values) - 1
    if weight is None:
        return np.interp(levels * last, np.arange(last + 1), np.sort(values))
    order = np.argsort(values, kind="stable")
    ascending = values[order].astype(np.float64)
    cumulative = np.cumsum(weight[order], dtype=np.float64)
    wanted = levels * cumulative[-1]
    first = np.searchsorted(cumulative, wanted * (1 - EPSILON), "left").clip(max=last)
    after = np.searchsorted(cumulative, wanted * (1 + EPSILON), "right").clip(max=last)
    return (ascending[first] + ascending[after]) / 2
