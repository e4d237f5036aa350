"""Embeddings of numeric columns: a few values of each column, by weights of its own."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from mlplab.models.backpropagation import Buffer, Operation, Workspace
from mlplab.models.layers.linear import padded_product, uniform
from mlplab.random_streams import generator

Column = Float[Tensor, "member number batch 1"]
Features = Float[Tensor, "member number batch feature"]


class Encoding(NamedTuple):
    """How features of columns are computed on buffers.

    Args:
        forward: writes the features of the columns.
        backward: takes the columns and the gradient at their features, and writes those of the parameters;
            None: the features have no parameters.
        grad_column: takes the gradient at the features, after `backward`; returns that at the columns.
    """

    forward: Callable[[Column], object]
    backward: Callable[[Column, Features], object] | None
    grad_column: Callable[[Features], Float[Tensor, "member number batch"]]


class ColumnwiseEmbedding(nn.Module, ABC):
    """Puts `width` values of each numeric column in front of the other columns, or of all columns.

    The values are an affine map of features of the column. The features of a member's column are a plane
    `[batch, feature]`, and there is one batched product for all planes, padded as in `Linear`.

    Args:
        numbers: how many of the input's columns are numeric; they come first.
        features: number of features of each of them.
        bound: weights and biases are drawn from U(−bound, bound).
    """

    REPLACES: bool  # whether the numeric columns themselves are left out

    parameter_group = "numeric_embeddings"

    def __init__(self, numbers: int, features: int, width: int, seeds: Sequence[int], bound: float) -> None:
        super().__init__()
        self.numbers, self.features, self.width = numbers, features, width
        self.kept = numbers if self.REPLACES else 0
        sources = [generator(seed, "embeddings", 1) for seed in seeds]
        stacked = uniform((numbers * (features + 1), width), bound, sources)
        self.weight: Float[Tensor, "member number*feature width"] = nn.Parameter(stacked[:, numbers:].clone())
        self.bias: Float[Tensor, "member number width"] = nn.Parameter(stacked[:, :numbers].clone())

    def sources(self, columns: Sequence[int]) -> list[int]:
        """The column that each output comes from, given that of each input."""
        return [*np.repeat(columns[: self.numbers], self.width).tolist(), *columns[self.kept :]]

    @abstractmethod
    def encode(self, column: Column) -> Features:
        """The features of each column."""

    @abstractmethod
    def encoding(self, planes: Buffer, workspace: Workspace) -> Encoding:
        """How the features of each column are written to `planes`, and their derivative."""

    def forward(self, x: Float[Tensor, "member batch input"]) -> Float[Tensor, "member batch output"]:
        """The values of each numeric column in turn, followed by the columns that are kept."""
        features = self.encode(_by_column(x[..., : self.numbers], self.numbers)).flatten(0, 1)
        products = padded_product(features, self.weight.reshape(len(features), -1, self.width))
        z = torch.unflatten(products, 0, (-1, self.numbers))
        return torch.cat([(z + self.bias.unsqueeze(2)).transpose(1, 2).flatten(2), x[..., self.kept :]], 2)

    def operation(self, x: Buffer, workspace: Workspace) -> Operation:
        """The values of `forward`; the derivative is that of `Linear`, then that of the features."""
        (weight, grad_weight), (bias, grad_bias) = workspace.parameters_of(self, "weight", "bias")
        numbers, embedded, kept = self.numbers, self.numbers * self.width, self.kept
        like = x.values.new_empty(len(weight) * numbers, x.values.shape[1], 0)
        a, z, grad_a = (Buffer(like, width) for width in (self.features, self.width, self.features))
        shape = len(like), a.padded.shape[2], z.padded.shape[2]
        padded_weight, product = like.new_zeros(shape), like.new_zeros(shape)
        inner = (slice(None), slice(self.features), slice(self.width))
        planes = z.values, grad_a.values, padded_weight[inner], product[inner]
        values, grad_features, inner_weight, inner_product = (
            torch.unflatten(each, 0, (-1, numbers)) for each in planes
        )
        encoding = self.encoding(a, workspace)
        output = workspace.new(embedded + x.width - kept)

        def forward() -> None:
            encoding.forward(_by_column(x.values[..., :numbers], numbers))
            inner_weight.copy_(torch.unflatten(weight, 1, (numbers, -1)))
            torch.bmm(a.padded, padded_weight, out=z.padded)
            torch.add(values, bias.unsqueeze(2), out=_by_column(output.values[..., :embedded], numbers))
            output.values[..., embedded:].copy_(x.values[..., kept:])

        def backward(gradient: Buffer) -> Buffer:
            values.copy_(_by_column(gradient.values[..., :embedded], numbers))
            torch.sum(values, 2, out=grad_bias)
            torch.bmm(a.padded.mT, z.padded, out=product)
            torch.unflatten(grad_weight, 1, (numbers, -1)).copy_(inner_product)
            if x.needs_gradient or encoding.backward:
                torch.bmm(z.padded, padded_weight.mT, out=grad_a.padded)
            if encoding.backward:
                encoding.backward(_by_column(x.values[..., :numbers], numbers), grad_features)
            if not x.needs_gradient:
                return gradient
            grad_x = workspace.gradient(x.width)
            grad_x.values[..., kept:].copy_(gradient.values[..., embedded:])
            grad_x.values[..., :kept].zero_()
            grad_x.values[..., :numbers].add_(encoding.grad_column(grad_features).mT)
            return grad_x

        return Operation(output, forward, backward)


def _by_column(values: Float[Tensor, "member batch _"], numbers: int) -> Features:
    return torch.unflatten(values, 2, (numbers, -1)).transpose(1, 2)


Knots = Float[Tensor, "member knot number"]


class PiecewiseLinear(ColumnwiseEmbedding):
    """Replaces each numeric column x by learned functions of it, linear between knots t₀ ≤ t₁ ≤ ….

    Their features are x, and for each bin from t to t′, clamp((x − t)/(t′ − t), 0, 1) (Gorishniy et al. 2022,
    arXiv 2203.05556, equation 1). Unlike there, the first and the last bin are clamped on both sides, so that
    the slope in a narrow one does not decide about values beyond the knots. The weights of the bins are 0 at
    first, so that the functions are linear until they have learned more (version B of TabM, arXiv
    2410.24210). An empty bin, between knots that are equal but for rounding, has the feature 0.

    Args:
        knots: of the numeric columns, which come first; ascending.

    Attributes:
        pieces: four tensors, one after another: the features are clamp(slope · x + intercept, lower, upper).
    """

    REPLACES = True

    def __init__(self, knots: Knots, width: int, seeds: Sequence[int]) -> None:
        bins, numbers = knots.shape[1] - 1, knots.shape[2]
        super().__init__(numbers, 1 + bins, width, seeds, bound=width**-0.5)
        with torch.no_grad():
            torch.unflatten(self.weight, 1, (numbers, -1))[:, :, 1:] = 0
        self.pieces: Float[Tensor, "member 4*number feature"] = nn.Buffer(_pieces(knots.mT))

    def terms(self, members: slice = slice(None)) -> tuple[Float[Tensor, "member number 1 feature"], ...]:
        """Slope, intercept, lower and upper limit of the features of some members."""
        return torch.unflatten(self.pieces[members], 1, (4, -1)).unsqueeze(3).unbind(1)

    def encode(self, column: Column) -> Features:
        """x, and the feature of each bin."""
        slope, intercept, lower, upper = self.terms()
        return torch.addcmul(intercept, column, slope).clamp(lower, upper)

    def encoding(self, planes: Buffer, workspace: Workspace) -> Encoding:
        """The features; only those that are not clamped have a gradient."""
        slope, intercept, lower, upper = self.terms(workspace.members)
        features = torch.unflatten(planes.values, 0, (-1, self.numbers))

        def forward(column: Column) -> None:
            torch.addcmul(intercept, column, slope, out=features)
            torch.clamp(features, lower, upper, out=features)

        def grad_column(gradient: Features) -> Float[Tensor, "member number batch"]:
            return torch.where((features > lower) & (features < upper), gradient * slope, 0).sum(3)

        return Encoding(forward, None, grad_column)


def _pieces(knots: Float[Tensor, "member number knot"]) -> Float[Tensor, "member 4*number feature"]:
    """The `pieces` of x itself, which is not clamped, and of each bin."""
    limits, widths = torch.finfo(knots.dtype), knots.diff()
    rounding = 64 * limits.eps * torch.maximum(knots[..., 1:].abs(), knots[..., :-1].abs())
    slope = torch.where(widths > rounding.clamp(min=limits.tiny), 1 / widths, 0)
    of_bins = slope, -knots[..., :-1] * slope, torch.zeros_like(slope), torch.ones_like(slope)
    of_x = 1, 0, limits.min, limits.max
    terms = zip(of_bins, of_x, strict=True)
    return torch.cat([nn.functional.pad(bins, (1, 0), value=x) for bins, x in terms], 1)
