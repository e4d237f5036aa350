"""Piecewise-linear embeddings of numeric columns."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mlplab.models.backpropagation import Buffer, Operation, Workspace
from mlplab.models.linear import ColumnwiseLinear, by_column


class PiecewiseLinear(nn.Module):
    """Replaces each numeric column x by `width` learned functions of it: linear between knots t₀ ≤ t₁ ≤ ….

    With one feature for each bin from t to t′, clamp((x − t)/(t′ − t), 0, 1), the embedding is an affine map
    of x and these features (Gorishniy et al. 2022, arXiv 2203.05556, equation 1). The first feature is not
    clamped below, nor the last one above. The weights of the features are 0 at first, so that the embedding
    is linear until it has learned more (version B of TabM, arXiv 2410.24210). An empty bin, between equal
    knots, has the feature 0, as if it were merged with the next one.

    Args:
        numbers: how many of the input's columns are numeric; they come first.
        knots: of the input's columns, ascending; None: the state must be loaded later.

    Attributes:
        slope, intercept, lower, upper: the features are clamp(slope · x + intercept, lower, upper). The first
            one is x itself; at the end, there are zeros up to a multiple of 4.
    """

    parameter_group = "numeric_embeddings"
    slope: Float[Tensor, "member number feature"]
    intercept: Float[Tensor, "member number feature"]
    lower: Float[Tensor, "member number feature"]
    upper: Float[Tensor, "member number feature"]

    def __init__(
        self,
        numbers: int,
        bins: int,
        width: int,
        seeds: Sequence[int],
        knots: Float[Tensor, "member knot number"] | None,
    ) -> None:
        super().__init__()
        self.numbers, self.bins, self.width = numbers, bins, width
        self.linear = ColumnwiseLinear(numbers, 1 + bins, width, seeds, bound=width**-0.5)
        with torch.no_grad():
            torch.unflatten(self.linear.weight, 1, (numbers, -1))[:, :, 1:] = 0
        if knots is None:
            knots = torch.zeros(len(seeds), bins + 1, numbers)
        for name, values in _features(knots.mT).items():
            self.register_buffer(name, values)

    @property
    def summary(self) -> str:
        """For the log."""
        return f"piecewise-linear embeddings of numeric columns ({self.bins} bins to {self.width} values)"

    def forward(self, x: Float[Tensor, "member batch input"]) -> Float[Tensor, "member batch output"]:
        """The embeddings of the numeric columns in turn, followed by the other columns."""
        slope, intercept, lower, upper = self._terms(slice(None))
        columns = by_column(x[..., : self.numbers], self.numbers)
        features = torch.addcmul(intercept, columns, slope).clamp(lower, upper)
        return torch.cat([self.linear(features.flatten(0, 1)), x[..., self.numbers :]], 2)

    def _terms(self, members: slice) -> list[Float[Tensor, "member number 1 feature"]]:
        terms = self.slope, self.intercept, self.lower, self.upper
        return [term[members].unsqueeze(2) for term in terms]

    def operation(self, x: Buffer, workspace: Workspace) -> Operation:
        """The same; ∂L/∂x is that of the features that are not clamped."""
        slope, intercept, lower, upper = self._terms(workspace.members)
        numbers, embedded = self.numbers, self.numbers * self.width
        like = x.values.new_empty(slope.shape[0] * numbers, x.values.shape[1], 0)
        planes = Buffer(like, 1 + self.bins)
        planes.needs_gradient = x.needs_gradient
        linear, linear_backward = self.linear.passes(planes, workspace)
        output, features = (
            workspace.new(self.outputs(x.width)),
            torch.unflatten(planes.padded, 0, (-1, numbers)),
        )

        def forward() -> None:
            columns = by_column(x.values[..., :numbers], numbers)
            torch.addcmul(intercept, columns, slope, out=features)
            torch.clamp(features, lower, upper, out=features)
            linear(by_column(output.values[..., :embedded], numbers))
            output.values[..., embedded:].copy_(x.values[..., numbers:])

        def backward(gradient: Buffer) -> Buffer:
            grad_features = linear_backward(by_column(gradient.values[..., :embedded], numbers))
            if not x.needs_gradient:
                return gradient
            slopes = torch.where((features > lower) & (features < upper), slope, 0)
            slopes.mul_(torch.unflatten(grad_features.padded, 0, (-1, numbers)))
            grad_x = workspace.gradient(x.width)
            grad_x.values[..., numbers:].copy_(gradient.values[..., embedded:])
            grad_x.values[..., :numbers].copy_(slopes.sum(3).mT)
            return grad_x

        return Operation(output, forward, backward)

    def outputs(self, inputs: int) -> int:
        """The number of columns of the result."""
        return inputs + self.numbers * (self.width - 1)


def _features(
    knots: Float[Tensor, "member number knot"],
) -> dict[str, Float[Tensor, "member number feature"]]:
    """The attributes of `PiecewiseLinear`; the unclamped ends have the largest numbers as limits."""
    limits, widths = torch.finfo(knots.dtype), knots.diff()
    is_bin = widths > limits.tiny
    bins = is_bin.cumsum(2)
    slope = torch.where(is_bin, 1 / widths, 0)
    terms = {
        "slope": (1, slope),
        "intercept": (0, -knots[..., :-1] * slope),
        "lower": (limits.min, torch.where(bins > 1, torch.zeros_like(slope), limits.min)),
        "upper": (limits.max, torch.where(bins < bins[..., -1:], torch.ones_like(slope), limits.max)),
    }
    padding = 0, -(1 + is_bin.shape[2]) % 4
    return {
        name: nn.functional.pad(nn.functional.pad(values, (1, 0), value=of_x), padding)
        for name, (of_x, values) in terms.items()
    }
