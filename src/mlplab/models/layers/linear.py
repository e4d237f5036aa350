"""The linear layer of all members, and initial weights that suit the training rows."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mlplab.models.backpropagation import Buffer, Input, Operation, Workspace
from mlplab.random_streams import generator


def affine(
    x: Input, weight: Float[Tensor, "member feature output"], bias: Float[Tensor, "member 1 output"]
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


def padded_product(
    a: Float[Tensor, "plane row input"], weight: Float[Tensor, "plane input output"]
) -> Float[Tensor, "plane row output"]:
    """aW, padded with zeros as in `affine`, but always, and on both sides."""
    below, right = -weight.shape[1] % 4, -weight.shape[2] % 4
    padded = nn.functional.pad(weight, (0, right, 0, below))
    return torch.bmm(nn.functional.pad(a, (0, below)), padded)[..., : weight.shape[2]]


def uniform(
    shape: tuple[int, ...], bound: float, sources: Sequence[torch.Generator]
) -> Float[Tensor, "member ..."]:
    """Values from U(−bound, bound) for each member, from a generator of its own."""
    return torch.stack([nn.init.uniform_(torch.empty(shape), -bound, bound, source) for source in sources])


class Linear(nn.Module):
    """An affine map for each member: z = aW + b.

    Weights and biases are drawn from U(−1/√in, 1/√in), as in `torch.nn.Linear`, with a generator seeded by
    the member's seed.

    Args:
        index: position of the layer in the network; layers with different indices draw different weights.
    """

    def __init__(self, in_features: int, out_features: int, seeds: Sequence[int], index: int = 0) -> None:
        super().__init__()
        self.fan_in = in_features
        sources = [generator(seed, "weights", index) for seed in seeds]
        stacked = uniform((in_features + 1, out_features), in_features**-0.5, sources)
        self.weight: Float[Tensor, "member input output"] = nn.Parameter(stacked[:, :-1].clone())
        self.bias: Float[Tensor, "member 1 output"] = nn.Parameter(stacked[:, -1:].clone())

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
        (weight, grad_weight), (bias, grad_bias) = workspace.parameters_of(self, "weight", "bias")
        members, inputs, outputs = weight.shape
        below, right = -inputs % 4, -outputs % 4
        z, is_padded = workspace.new(outputs), bool(right or (below and a.needs_gradient))
        padded_weight, padded_bias, product = weight, bias, grad_weight
        if is_padded:
            shapes = (inputs + below, outputs + right), (1, outputs + right), (inputs, outputs + right)
            padded_weight, padded_bias, product = (z.flat.new_zeros(members, *shape) for shape in shapes)
        rows = padded_weight[:, :inputs] if a is workspace.input else padded_weight  # a batch is not padded

        def forward() -> None:
            if is_padded:
                padded_weight[:, :inputs, :outputs].copy_(weight)
                padded_bias[..., :outputs].copy_(bias)
            torch.baddbmm(padded_bias, a.padded, rows, out=z.padded)

        def backward(gradient: Buffer) -> Buffer:
            delta = gradient.padded
            torch.bmm(a.values.mT, delta, out=product)
            if is_padded:
                grad_weight.copy_(product[..., :outputs])
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
        (weight, grad_weight), (bias, grad_bias) = workspace.parameters_of(self, "weight", "bias")
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


# Rows from which weights are scaled: a multiple of `ROW_MULTIPLE`, the same for all members.
ROWS = 1024


@torch.no_grad()
def initialize(layer: Linear, a: Float[Tensor, "member row input"], seeds: Sequence[int], index: int) -> None:
    """Sets the weights and biases of a layer with such inputs.

    Weights are divided so that each unit's output has unit variance. A bias is the negative of a random
    convex combination of the unit's outputs for five rows, so that a unit's kink lies among the rows.
    """
    layer.bias.zero_()
    z = layer(a)
    for member, seed in enumerate(seeds):  # one by one: how a sum is rounded could depend on the others
        values = z[member].clone()
        std = values.std(0)
        scale = torch.where(std > 0, 1 / std, 1)
        source = generator(seed, "initial biases", index)
        rows = torch.randint(len(values), (5, values.shape[1]), generator=source)
        shares = torch.empty(rows.shape, dtype=z.dtype).exponential_(generator=source)
        centre = (values.gather(0, rows) * scale * shares / shares.sum(0)).sum(0)
        layer.weight[member] *= scale
        layer.bias[member] = -centre
