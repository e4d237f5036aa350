"""A linear model beside a network's body, which learns what the linear model leaves over."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from mlplab.models.backpropagation import ROW_MULTIPLE
from mlplab.models.linear import affine

Columns = Float64[Tensor, "row column"]
Targets = Float64[Tensor, "row target"]

PENALTIES = torch.logspace(-12, 3, 31, dtype=torch.float64)
"""Candidates of ridge regression's penalty, for columns and rows of mean square 1."""


MARGIN = 1
"""Beyond the range of the targets, as a part of it, that a linear model's output may reach."""


class Solution(NamedTuple):
    """A linear model of a member's training rows.

    Args:
        lowest, highest: limits of each output.
    """

    weight: Float64[Tensor, "column output"]
    bias: Float64[Tensor, " output"]
    lowest: Float64[Tensor, " output"]
    highest: Float64[Tensor, " output"]


class LinearPath(nn.Module):
    """An affine map from columns in their own units to what is added to the output of a network's body.

    It is fitted to each member's training rows before its training, and stays as it is. The body's output is
    zero then. So the network begins as the linear model, whose part of the output costs nothing in a step:
    it is computed for a whole block of steps.
    """

    weight: Float64[Tensor, "member column output"]
    bias: Float64[Tensor, "member 1 output"]
    lowest: Float64[Tensor, "member 1 output"]
    highest: Float64[Tensor, "member 1 output"]

    def __init__(self, columns: int, outputs: int, members: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(members, columns, outputs, dtype=torch.float64))
        for name in ("bias", "lowest", "highest"):
            self.register_buffer(name, torch.zeros(members, 1, outputs, dtype=torch.float64))

    def forward(self, columns: Float[Tensor, "member batch column"]) -> Float[Tensor, "member batch output"]:
        """xW + b in float64, within the limits.

        A row gets the same bits in a step and in a block of steps: see `ROW_MULTIPLE`.
        """
        rows = columns.shape[1]
        padded = nn.functional.pad(columns.double(), (0, 0, 0, -rows % ROW_MULTIPLE))
        z = affine(padded, self.weight, self.bias)[:, :rows]
        return z.clamp(self.lowest, self.highest).to(columns.dtype)

    def set(self, member: int, solution: Solution) -> None:
        """Sets a member's map."""
        for name, values in solution._asdict().items():
            getattr(self, name)[member] = values

    def shift(self, member: int, offset: Float64[Tensor, " number"]) -> None:
        """Adapts a member to numeric columns, which come first, with `offset` added to their values."""
        self.bias[member] -= offset @ self.weight[member, : len(offset)]


def ridge(x: Columns, y: Targets, weight: Float64[Tensor, "row 1"]) -> Solution:
    """Ridge regression of standardised columns.

    The output of a row with an outlier among its columns, which may be off by far, is limited.

    Each target's penalty has the lowest generalised cross-validation score n·RSS/(n − df)², where df are the
    degrees of freedom (Golub, Heath & Wahba 1979, equation 1.4).
    """
    weight = weight / weight.mean()
    x_mean, y_mean = (weight * x).mean(0), (weight * y).mean(0)
    scale = (weight * (x - x_mean).square()).mean(0).sqrt()
    scale = torch.where(scale > 0, scale, torch.inf)
    root = (weight / len(x)).sqrt()
    left, singular, right = torch.linalg.svd(root * (x - x_mean) / scale, full_matrices=False)
    centred = root * (y - y_mean)
    projected = left.mT @ centred
    rest = (centred - left @ projected).square().sum(0)
    kept = singular.square() / (singular.square() + PENALTIES[:, None])
    rss = rest + ((1 - kept).square() @ projected.square())
    left_over = (1 - (1 + kept.sum(1, keepdim=True)) / len(x)).clamp(min=1e-6)
    best = (rss / left_over.square()).argmin(0)
    shrunk = singular[:, None] / (singular.square()[:, None] + PENALTIES[best]) * projected
    coefficients = (right.mT @ shrunk) / scale[:, None]
    margin = MARGIN * (y.amax(0) - y.amin(0))
    return Solution(coefficients, y_mean - x_mean @ coefficients, y.amin(0) - margin, y.amax(0) + margin)


def logistic(classes: int, x: Columns, y: Targets, weight: Float64[Tensor, "row 1"]) -> Solution:
    """Logistic regression of standardised columns with the penalty ½‖W‖².

    Args:
        y: the number of each row's class.
    """
    weight = weight / weight.mean()
    mean = (weight * x).mean(0)
    scale = (weight * (x - mean).square()).mean(0).sqrt()
    scale = torch.where(scale > 0, scale, torch.inf)
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
    infinite = torch.full_like(b, torch.inf)
    return Solution(coefficients, b.detach() - mean @ coefficients, -infinite, infinite)
