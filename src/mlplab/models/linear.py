"""The linear layer of all members, and that of their numeric columns."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mlplab.models.backpropagation import Buffer, Operation, Workspace
from mlplab.random_streams import generator

ByColumn = Float[Tensor, "member number batch width"]


def affine(
    x: Float[Tensor, "member batch input"],
    weight: Float[Tensor, "member input output"],
    bias: Float[Tensor, "member 1 output"],
) -> Float[Tensor, "member batch output"]:
    """One `baddbmm`; elementwise for a single input or output, which is faster.

    A member gets the same bits alone and anywhere in a stack. Matrix libraries do not guarantee that: how
    they round depends on a matrix's memory alignment unless its width is a multiple of 4. Other widths
    are padded with zeros. Products of vectors round differently again.
    """
    _, rows, columns = weight.shape
    if columns == 1:
        return (x * weight.mT).sum(2, keepdim=True) + bias
    if rows == 1:
        return x * weight + bias
    right, below = -columns % 4, -rows % 4 if x.requires_grad else 0
    if not (right or below):
        return torch.baddbmm(bias, x, weight)
    weight = nn.functional.pad(weight, (0, right, 0, below))
    bias, x = nn.functional.pad(bias, (0, right)), nn.functional.pad(x, (0, below))
    return torch.baddbmm(bias, x, weight)[..., :columns]


class Linear(nn.Module):
    """An affine map for each member: z = aW + b.

    Weights and biases are drawn from U(−1/√in, 1/√in), as in `torch.nn.Linear`, with a generator seeded by
    the member's seed.

    Args:
        index: position of the layer in the network; layers with different indices draw different weights.
    """

    weight: Float[Tensor, "member input output"]
    bias: Float[Tensor, "member 1 output"]

    def __init__(self, in_features: int, out_features: int, seeds: Sequence[int], index: int = 0) -> None:
        super().__init__()
        bound = in_features**-0.5
        weights = [
            nn.init.uniform_(
                torch.empty(in_features + 1, out_features), -bound, bound, generator(seed, "weights", index)
            )
            for seed in seeds
        ]
        stacked = torch.stack(weights)
        self.weight = nn.Parameter(stacked[:, :-1].clone())
        self.bias = nn.Parameter(stacked[:, -1:].clone())

    def forward(self, x: Float[Tensor, "member batch input"]) -> Float[Tensor, "member batch output"]:
        """xW + b."""
        return affine(x, self.weight, self.bias)

    def operation(self, a: Buffer, workspace: Workspace, *, skip: bool = False) -> Operation:
        """z = aW + b; ∂L/∂W = aᵀδ, ∂L/∂b = Σ δ, ∂L/∂a = δWᵀ.

        Args:
            skip: whether a residual connection bypasses the layer. The gradient that comes through it is
                already in the buffer for ∂L/∂a, and this layer's is added.
        """
        if 1 in self.weight.shape[1:]:
            return self._elementwise(a, workspace, skip=skip)
        return self._products(a, workspace, skip=skip)

    def _products(self, a: Buffer, workspace: Workspace, *, skip: bool) -> Operation:
        """As matrix products; weights are padded with zeros to multiples of 4 rows and columns."""
        weight, grad_weight = workspace.parameter(self, "weight")
        bias, grad_bias = workspace.parameter(self, "bias")
        members, inputs, outputs = weight.shape
        below, right = -inputs % 4, -outputs % 4
        z, is_padded = workspace.new(outputs), bool(right or (below and a.needs_gradient))
        padded_weight, padded_bias, product = weight, bias, weight
        if is_padded:
            shapes = (inputs + below, outputs + right), (1, outputs + right), (inputs, outputs + right)
            padded_weight, padded_bias, product = (z.flat.new_zeros(members, *shape) for shape in shapes)

        def forward() -> None:
            if is_padded:
                padded_weight[:, :inputs, :outputs].copy_(weight)
                padded_bias[..., :outputs].copy_(bias)
                torch.baddbmm(padded_bias, a.padded, padded_weight[:, : a.padded.shape[2]], out=z.padded)
            else:
                torch.baddbmm(bias, a.padded, weight, out=z.padded)

        def backward(gradient: Buffer) -> Buffer:
            delta = gradient.padded
            if is_padded:
                torch.bmm(a.values.mT, delta, out=product)
                grad_weight.copy_(product[..., :outputs])
            else:
                torch.bmm(a.values.mT, delta, out=grad_weight)
            torch.sum(gradient.values, 1, keepdim=True, out=grad_bias)
            if not a.needs_gradient:
                return gradient
            grad_a = workspace.gradient(inputs)
            if skip:
                grad_a.padded.baddbmm_(delta, padded_weight.mT)
            else:
                torch.bmm(delta, padded_weight.mT, out=grad_a.padded)
            return grad_a

        return Operation(z, forward, backward)

    def _elementwise(self, a: Buffer, workspace: Workspace, *, skip: bool) -> Operation:
        """With a single input or output, where elementwise products are faster."""
        weight, grad_weight = workspace.parameter(self, "weight")
        bias, grad_bias = workspace.parameter(self, "bias")
        _, inputs, outputs = weight.shape
        z, products = workspace.new(outputs), workspace.new(max(inputs, outputs)).values

        def forward() -> None:
            if inputs == 1:
                torch.addcmul(bias, a.values, weight, out=z.values)
                z.clear_padding()
            else:
                torch.mul(a.values, weight.mT, out=products)
                torch.sum(products, 2, keepdim=True, out=z.values).add_(bias)

        grad_row = grad_weight if inputs == 1 else grad_weight.mT

        def backward(gradient: Buffer) -> Buffer:
            delta = gradient.values
            torch.mul(a.values, delta, out=products)
            torch.sum(products, 1, keepdim=True, out=grad_row)
            torch.sum(delta, 1, keepdim=True, out=grad_bias)
            if not a.needs_gradient:
                return gradient
            grad_a = workspace.gradient(inputs)
            if inputs > 1:
                torch.mul(delta, weight.mT, out=grad_a.values)
                grad_a.clear_padding()
            else:
                sums = torch.mul(delta, weight, out=products).sum(2, keepdim=True)
                grad_a.values.copy_(grad_a.values + sums if skip else sums)
            return grad_a

        return Operation(z, forward, backward)


class ColumnwiseLinear(nn.Module):
    """An affine map for each numeric column of each member: from features of the column to `width` values.

    A column of a member is a plane `[batch, feature]`, and there is one batched product for all planes. Their
    features are padded with any finite numbers to a multiple of 4 (see `Linear`).

    Args:
        bound: weights and biases are drawn from U(−bound, bound).
    """

    parameter_group = "numeric_embeddings"
    weight: Float[Tensor, "member number*feature width"]
    bias: Float[Tensor, "member number width"]

    def __init__(self, numbers: int, features: int, width: int, seeds: Sequence[int], bound: float) -> None:
        super().__init__()
        empty = torch.empty(numbers * (features + 1), width)
        sources = [generator(seed, "embeddings", 1) for seed in seeds]
        stacked = torch.stack([nn.init.uniform_(empty.clone(), -bound, bound, source) for source in sources])
        self.weight = nn.Parameter(stacked[:, numbers:].clone())
        self.bias = nn.Parameter(stacked[:, :numbers].clone())

    def forward(self, features: Float[Tensor, "plane batch _"]) -> Float[Tensor, "member batch output"]:
        """The values of each column in turn."""
        members, numbers, width = self.bias.shape
        weight = self.weight.reshape(members * numbers, -1, width)
        padding = 0, -width % 4, 0, features.shape[2] - weight.shape[1]
        z = torch.bmm(features, nn.functional.pad(weight, padding))[..., :width]
        return (torch.unflatten(z, 0, (members, numbers)) + self.bias.unsqueeze(2)).transpose(1, 2).flatten(2)

    def passes(
        self, a: Buffer, workspace: Workspace
    ) -> tuple[Callable[[ByColumn], object], Callable[[ByColumn], Buffer]]:
        """The parts of an operation, with planes as input.

        The first one writes the values; the second takes the gradient at them, and returns that at the
        planes if they need one. The formulas are those of `Linear`.
        """
        weight, grad_weight = workspace.parameter(self, "weight")
        bias, grad_bias = workspace.parameter(self, "bias")
        members, numbers, width = bias.shape
        z, grad_a = Buffer(a.padded, width), Buffer(a.padded, a.width)
        shape = len(a.padded), a.padded.shape[2], z.padded.shape[2]
        padded_weight, product = a.flat.new_zeros(shape), a.flat.new_zeros(shape)
        inner_weight, inner_product, by_column = (
            torch.unflatten(each, 0, (members, numbers))
            for each in (padded_weight[:, : a.width, :width], product[:, : a.width, :width], z.values)
        )
        grad_by_column = torch.unflatten(grad_weight, 1, (numbers, -1))

        def forward(values: ByColumn) -> None:
            inner_weight.copy_(torch.unflatten(weight, 1, (numbers, -1)))
            torch.bmm(a.padded, padded_weight, out=z.padded)
            torch.add(by_column, bias.unsqueeze(2), out=values)

        def backward(gradient: ByColumn) -> Buffer:
            by_column.copy_(gradient)
            torch.sum(by_column, 2, out=grad_bias)
            torch.bmm(a.padded.mT, z.padded, out=product)
            grad_by_column.copy_(inner_product)
            if a.needs_gradient:
                torch.bmm(z.padded, padded_weight.mT, out=grad_a.padded)
            return grad_a

        return forward, backward


def by_column(values: Float[Tensor, "member batch _"], numbers: int) -> ByColumn:
    """A view of the values that several numeric columns have in each row."""
    return torch.unflatten(values, 2, (numbers, -1)).transpose(1, 2)
