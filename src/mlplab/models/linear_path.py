"""A linear model beside the body of a network."""

from typing import NamedTuple

import torch
from jaxtyping import Float64
from torch import Tensor, nn

from mlplab.effective_rows import effective_rows
from mlplab.models.backpropagation import ROW_MULTIPLE
from mlplab.models.layers.linear import affine
from mlplab.models.preprocessing import Inputs, Preprocessing
from mlplab.models.targets import ClassProbabilities, Outputs

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

MOST_COLUMNS = 500  # columns of ridge regression, up to which each embedded category is one

# Beyond the range of the targets, as a part of it, that a linear model's output may reach.
MARGIN = 1


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


class LinearPath(nn.Module):
    """A linear model of the columns in their own units, beside the body of a network.

    With the output u of the linear model and z of the body, that of the network is (1 − s)z + (r + s − rs)u.
    The linear model is fitted to each member's training rows before its training. Where it is nearly exact,
    r is 1, so that the body learns what it leaves over; elsewhere, that is harder to learn than the target,
    and r is 0. The share s is chosen on held-out rows when training has ended; until then, it is 0.

    Categories with an embedding have a weight only where the linear model is nearly exact with them, and not
    without them. Elsewhere, the body alone makes better use of them.
    """

    def __init__(self, columns: int, outputs: int, members: int, categories: int = 0) -> None:
        super().__init__()

        def zeros(rows: int, outputs: int = outputs) -> Float64[Tensor, "member _ _"]:
            return nn.Buffer(torch.zeros(members, rows, outputs, dtype=torch.float64))

        self.weight, self.category_weight, self.bias = zeros(columns), zeros(categories), zeros(1)
        self.lowest, self.highest, self.residual, self.share = zeros(1), zeros(1), zeros(1), zeros(1, 1)
        self.register_load_state_dict_pre_hook(LinearPath.add_category_weight)  # type: ignore[no-untyped-call]

    def forward(self, inputs: Inputs) -> Outputs:
        """u = xW + b in float64, within the limits; x has a one-hot column for each category with a weight.

        A row gets the same bits in a step and in a block of steps: see `ROW_MULTIPLE`.
        """
        columns = inputs.unscaled
        rows = columns.shape[1]
        padded = nn.functional.pad(columns.double(), (0, 0, 0, -rows % ROW_MULTIPLE))
        u = affine(padded, self.weight, self.bias)[:, :rows]
        if self.category_weight.shape[1]:
            for numbers in inputs.embedded_rows.unbind(2):
                u = u + self.category_weight.gather(1, numbers[..., None].expand_as(u))
        return u.clamp(self.lowest, self.highest).to(columns.dtype)

    def offset(self, inputs: Inputs) -> Outputs | None:
        """ru, which is added to the output of the body in training; None if r is 0."""
        return self(inputs) * self.residual.to(inputs.numbers.dtype) if self.residual.any() else None

    def combine(self, z: Outputs, u: Outputs, share: Float64[Tensor, "member 1 1"] | float) -> Outputs:
        """(1 − s)z + (r + s − rs)u."""
        of_linear = self.residual + share - self.residual * share
        return ((1 - share) * z + of_linear * u).to(z.dtype)

    def output(self, z: Outputs, inputs: Inputs) -> Outputs:
        """The output of the network, given that of the body."""
        is_used = self.residual.any() or self.share.any()
        return self.combine(z, self(inputs), self.share) if is_used else z

    def set(self, member: int, solution: Solution) -> None:
        """Sets a member's linear model."""
        weight, columns = solution.weight, self.weight.shape[1]
        self.weight[member] = weight[:columns]
        self.category_weight[member] = weight[columns:] if len(weight) > columns else 0
        for name in ("bias", "lowest", "highest", "residual"):
            getattr(self, name)[member] = getattr(solution, name)

    def shift(self, member: int, offset: Float64[Tensor, " number"]) -> None:
        """Adapts a member to numeric columns, which come first, with `offset` added to their values."""
        self.bias[member] -= offset @ self.weight[member, : len(offset)]

    def add_category_weight(self, state_dict: dict[str, Tensor], prefix: str, *_: object) -> None:
        """Sets the weights of categories to 0 where the state of an earlier version does not have them."""
        state_dict.setdefault(f"{prefix}category_weight", torch.zeros_like(self.category_weight))


def build_linear_path(preprocessing: Preprocessing, members: int) -> LinearPath | None:
    """The linear path of a network; None if all columns are embedded."""
    columns, categories = preprocessing.unembedded_width, preprocessing.embedded_categories
    transform = preprocessing.target_transform
    if isinstance(transform, ClassProbabilities) or columns + categories > MOST_COLUMNS:
        categories = 0
    return LinearPath(columns, transform.outputs, members, categories) if columns else None


def ridge(x: Columns, y: Targets, weight: Weight) -> Solution:
    """Ridge regression of standardised columns.

    Rows of weight 0 are left out. The output of a row with an outlier among its columns, which may be off by
    far, is limited.

    Each target's penalty has the lowest generalised cross-validation score n·RSS/(n − df)², where df are the
    degrees of freedom (Golub, Heath & Wahba 1979, equation 1.4).
    """
    x, y, weight, x_mean, scale = _standardised(x, y, weight)
    rows = effective_rows(weight)
    y_mean = (weight * y).mean(0)
    root = (weight / len(x)).sqrt()
    left, singular, right = torch.linalg.svd(root * (x - x_mean) / scale, full_matrices=False)
    centred = root * (y - y_mean)
    projected = left.mT @ centred
    rest = (centred - left @ projected).square().sum(0)
    kept = singular.square() / (singular.square() + PENALTIES[:, None])
    rss = rest + ((1 - kept).square() @ projected.square())
    left_over = 1 - (1 + kept.sum(1, keepdim=True)) / rows
    left_over[-1] = left_over[-1].clamp(min=FEWEST_LEFT)
    scores, best = torch.where(left_over < FEWEST_LEFT, torch.inf, rss / left_over.square()).min(0)
    shrunk = singular[:, None] / (singular.square()[:, None] + PENALTIES[best]) * projected
    coefficients = (right.mT @ shrunk) / scale[:, None]
    margin = MARGIN * (y.amax(0) - y.amin(0))
    error = (scores / centred.square().sum(0)).sqrt()
    is_exact = (error < EXACT) & (left_over[best, 0] > 0.5)
    bias = y_mean - x_mean @ coefficients
    return Solution(coefficients, bias, y.amin(0) - margin, y.amax(0) + margin, is_exact.double(), error)


def logistic(classes: int, x: Columns, y: Targets, weight: Weight) -> Solution:
    """Logistic regression of standardised columns with the penalty ½‖W‖². Rows of weight 0 are left out.

    Args:
        y: the number of each row's class.
    """
    x, y, weight, mean, scale = _standardised(x, y, weight)
    columns, labels = (x - mean) / scale, y[:, 0].long()
    w = torch.zeros(x.shape[1], classes, dtype=x.dtype, requires_grad=True)
    b = torch.zeros(classes, dtype=x.dtype, requires_grad=True)
    optimizer = torch.optim.LBFGS([w, b], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        by_row = nn.functional.cross_entropy(columns @ w + b, labels, reduction="none")
        value = (by_row * weight[:, 0]).mean() + w.square().sum() / (2 * len(x))
        value.backward()  # type: ignore[no-untyped-call]
        return value

    with torch.enable_grad():
        optimizer.step(loss)  # type: ignore[no-untyped-call]
    coefficients = w.detach() / scale[:, None]
    bias = b.detach() - mean @ coefficients
    lowest, highest = torch.aminmax(x @ coefficients + bias, dim=0)
    margin = MARGIN * (highest - lowest)
    zeros = torch.zeros_like(bias)
    return Solution(coefficients, bias, lowest - margin, highest + margin, zeros, zeros)


def _standardised(x: Columns, y: Targets, weight: Weight) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The rows that have a weight, their weights, with the mean 1; the columns' mean and standard deviation.

    That of constants, whose mean may be rounded, is infinite.
    """
    used = weight[:, 0] > 0
    x, y, weight = x[used], y[used], weight[used] / weight[used].mean()
    mean = (weight * x).mean(0)
    std = (weight * (x - mean).square()).mean(0).sqrt()
    return x, y, weight, mean, torch.where(std > ROUNDING * x.abs().amax(0), std, torch.inf)
