"""Linear models of a member's training rows: ridge regression, a linear mixed model, logistic regression."""

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor, nn

from mlplab.effective_rows import effective_rows

Columns = Float64[Tensor, "row column"]
Targets = Float64[Tensor, "row target"]
Weight = Float64[Tensor, "row 1"]

# Candidates of ridge regression's penalty, for columns and rows of mean square 1.
PENALTIES = torch.logspace(-12, 3, 31, dtype=torch.float64)

# Error of ridge regression, relative to the target's standard deviation, below which the body learns what it
# leaves over.
EXACT = 0.1

# Standard deviation of a constant, relative to its size, that is due to rounding.
ROUNDING = 1e-12

# Degrees of freedom, as a part of the rows, that ridge regression has to leave over: one that fits all rows
# says nothing about new ones.
FEWEST_LEFT = 0.1

ITERATIONS = 15  # of backfitting

LEAST_PENALTY = 0.1  # of categories in logistic regression, which may separate the classes

LEAST_VARIANCE = 1e-6  # between categories, relative to that within

# Beyond the range of the targets, as a part of it, that a linear model's output may reach.
MARGIN = 1


class Embedded(NamedTuple):
    """The categories of rows in columns that have embeddings.

    Args:
        numbers: of all columns' categories, numbered consecutively.
        known: whether the cell has one of those that occur in training.
        counts: of each column.
    """

    numbers: Int64[Tensor, "row embedded"]
    known: Bool[Tensor, "row embedded"]
    counts: Sequence[int]

    def effects(self, weight: Float64[Tensor, "category output"]) -> Float64[Tensor, "row output"]:
        """The sum of the weights of each row's categories."""
        return (weight[self.numbers] * self.known.unsqueeze(2)).sum(1)


class Solution(NamedTuple):
    """A linear model of a member's training rows.

    Args:
        weight: of each column, and of each category of `LinearPath.category_weight`, if it has any.
        lowest, highest: limits of each output.
        residual: 1 for an output of which the body learns what the linear model leaves over, else 0.
        error: the root of ridge regression's cross-validated mean square error, relative to the target's
            standard deviation.
    """

    weight: Float64[Tensor, "column output"]
    bias: Float64[Tensor, " output"]
    lowest: Float64[Tensor, " output"]
    highest: Float64[Tensor, " output"]
    residual: Float64[Tensor, " output"]
    error: Float64[Tensor, " output"]


class Ridge:
    """Ridge regression of standardised columns.

    Each target's penalty has the lowest generalised cross-validation score n·RSS/(n − df)², where df are the
    degrees of freedom (Golub, Heath & Wahba 1979, equation 1.4).
    """

    def __init__(self, x: Columns, weight: Weight) -> None:
        self.weight, self.mean, self.scale = _standardised(x, weight)
        self.root = (self.weight / len(x)).sqrt()
        scaled = self.root * (x - self.mean) / self.scale
        self.left, self.singular, self.right = torch.linalg.svd(scaled, full_matrices=False)

    def fit(self, y: Targets) -> Solution:
        """The model of these targets.

        Its output for a row with an outlier among its columns, which may be off by far, is limited.
        """
        squares = self.singular.square()
        y_mean = (self.weight * y).mean(0)
        centred = self.root * (y - y_mean)
        projected = self.left.mT @ centred
        rest = (centred - self.left @ projected).square().sum(0)
        kept = squares / (squares + PENALTIES[:, None])
        rss = rest + ((1 - kept).square() @ projected.square())
        left_over = 1 - (1 + kept.sum(1, keepdim=True)) / effective_rows(self.weight)
        left_over[-1] = left_over[-1].clamp(min=FEWEST_LEFT)
        scores, best = torch.where(left_over < FEWEST_LEFT, torch.inf, rss / left_over.square()).min(0)
        shrunk = self.singular[:, None] / (squares[:, None] + PENALTIES[best]) * projected
        coefficients = (self.right.mT @ shrunk) / self.scale[:, None]
        error = (scores / centred.square().sum(0)).sqrt()
        is_exact = (error < EXACT) & (left_over[best, 0] > 0.5)
        bias = y_mean - self.mean @ coefficients
        return Solution(coefficients, bias, *_limits(y), is_exact.double(), error)


class Effects(NamedTuple):
    """Effects of categories, and the variances within and between those of each column."""

    values: Float64[Tensor, "category target"]
    within: Float64[Tensor, "embedded target"]
    between: Float64[Tensor, "embedded target"]


def mixed(x: Columns, embedded: Embedded, y: Targets, weight: Weight) -> Solution:
    """A linear mixed model: ridge regression, and effects of categories; `residual` is 0."""
    solution, effects = _backfitted(x, embedded, y, weight)
    weights, zeros = torch.cat([solution.weight, effects.values]), torch.zeros_like(solution.bias)
    return Solution(weights, solution.bias, *_limits(y), zeros, solution.error)


def _backfitted(x: Columns, embedded: Embedded, y: Targets, weight: Weight) -> tuple[Solution, Effects]:
    """Ridge regression and effects, each of what the others leave over (Hastie & Tibshirani 1990, chapter 4).

    So the effect of an item does not depend on who rated it.
    """
    model, counts, weight = Ridge(x, weight), embedded.counts, weight / weight.mean()
    values = y.new_zeros(sum(counts), y.shape[1])
    within, between = y.new_empty(2, len(counts), y.shape[1])
    for _ in range(ITERATIONS):
        fitted = embedded.effects(values)
        solution = model.fit(y - fitted)
        rest = y - x @ solution.weight - solution.bias - fitted
        for place, (count, end) in enumerate(zip(counts, accumulate(counts), strict=True)):
            category, known = embedded.numbers[:, place] - end + count, embedded.known[:, place, None]
            own = values[end - count : end]
            rest += own[category] * known
            own[:], within[place], between[place] = _shrunk_means(rest, category, weight * known, count)
            rest -= own[category] * known
    return solution, Effects(values, within, between)


def _shrunk_means(
    rest: Targets, category: Int64[Tensor, " row"], weight: Weight, count: int
) -> tuple[Float64[Tensor, "category target"], Float64[Tensor, " target"], Float64[Tensor, " target"]]:
    """The deviation of n rows from all rows, times n/(n + σ²/τ²); the variances σ² within categories and τ²
    between them.

    These are estimated by the analysis of variance (Searle, Casella & McCulloch 1992, section 3.6). Where
    each category has a single row, nothing tells them apart, and τ² is nearly 0.
    """
    rows = weight.new_zeros(count, 1).index_add_(0, category, weight)
    total, freedom = rows.sum().clamp(min=1e-300), max(int((rows > 0).sum()) - 1, 1)
    sums = rest.new_zeros(count, rest.shape[1]).index_add_(0, category, weight * rest)
    mean = sums / rows.clamp(min=1e-300)
    deviation, left = mean - sums.sum(0) / total, total - freedom - 1
    squares, between = (weight * rest.square()).sum(0), torch.zeros_like(mean[0])
    within = squares / total
    if left >= 1:
        within = (squares - (rows * mean.square()).sum(0)) / left
        typical = (total - rows.square().sum() / total) / freedom
        between = ((rows * deviation.square()).sum(0) / freedom - within) / typical.clamp(min=1)
    between = between.maximum(LEAST_VARIANCE * within)
    return torch.nan_to_num(rows * between / (rows * between + within)) * deviation, within, between


def logistic(classes: int, x: Columns, embedded: Embedded, y: Targets, weight: Weight) -> Solution:
    """Logistic regression of standardised columns with the penalty ½‖W‖².

    Categories have the penalty ½λ‖C‖² with λ = p(1 − p) σ²/τ², averaged over classes. The variances are those
    of a linear mixed model of the classes; p(1 − p) is a row's information about the logit of a class with
    the share p, so that both models shrink an effect alike.

    Args:
        y: the number of each row's class.
    """
    weight, mean, scale = _standardised(x, weight)
    columns, labels = (x - mean) / scale, y[:, 0].long()
    sizes = x.shape[1], sum(embedded.counts)
    w, c = (torch.zeros(size, classes, dtype=x.dtype, requires_grad=True) for size in sizes)
    b, penalty = torch.zeros(classes, dtype=x.dtype, requires_grad=True), x.new_empty(0, 1)
    if embedded.counts:
        shares = nn.functional.one_hot(labels, classes).double()
        _, effects = _backfitted(x, embedded, shares, weight)
        p = (weight * shares).mean(0)
        ratio = effects.within.sum(1) / effects.between.sum(1)
        of_columns = torch.nan_to_num(ratio * (p - p.square()).sum() / (classes - 1)).clamp(LEAST_PENALTY)
        penalty = of_columns.repeat_interleave(torch.tensor(embedded.counts))[:, None]
    optimizer = torch.optim.LBFGS([w, b, c], max_iter=200, line_search_fn="strong_wolfe")

    def logits() -> Tensor:
        return columns @ w + b + embedded.effects(c)

    def loss() -> Tensor:
        optimizer.zero_grad()
        by_row = nn.functional.cross_entropy(logits(), labels, reduction="none")
        norm = w.square().sum() + (penalty * c.square()).sum()
        value = (by_row * weight[:, 0]).mean() + norm / (2 * len(x))
        value.backward()  # type: ignore[no-untyped-call]
        return value

    with torch.enable_grad():
        optimizer.step(loss)  # type: ignore[no-untyped-call]
    coefficients = w.detach() / scale[:, None]
    bias = b.detach() - mean @ coefficients
    limits = _limits(x @ coefficients + bias + embedded.effects(c.detach()))
    zeros = torch.zeros_like(bias)
    return Solution(torch.cat([coefficients, c.detach()]), bias, *limits, zeros, zeros)


def _limits(outputs: Targets) -> tuple[Float64[Tensor, " target"], Float64[Tensor, " target"]]:
    """The range of outputs, wider by `MARGIN` of it on either side."""
    lowest, highest = torch.aminmax(outputs, dim=0)
    margin = MARGIN * (highest - lowest)
    return lowest - margin, highest + margin


def _standardised(x: Columns, weight: Weight) -> tuple[Weight, Tensor, Tensor]:
    """The weights of rows with the mean 1, and the columns' mean and standard deviation.

    That of constants, whose mean may be rounded, is infinite.
    """
    weight = weight / weight.mean()
    mean = (weight * x).mean(0)
    std = (weight * (x - mean).square()).mean(0).sqrt()
    return weight, mean, torch.where(std > ROUNDING * x.abs().amax(0), std, torch.inf)
