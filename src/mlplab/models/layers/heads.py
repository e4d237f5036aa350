"""Heads: networks within a network that share its weight matrices (TabM, Gorishniy et al., arXiv 2410.24210).

Each of K heads has a few weights of its own, so it learns another function, at the cost of a batch of K times
as many rows: those of all heads, `[member, batch · head, unit]`, where the heads of a row follow each other.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mlplab.models.backpropagation import Buffer, Operation, Workspace
from mlplab.models.layers.activation import elementwise
from mlplab.models.layers.linear import Linear, padded_product, uniform
from mlplab.random_streams import generator

Rows = Float[Tensor, "member row unit"]
Planes = Float[Tensor, "member head _ _"]
HeadInputs = Float[Tensor, "member head input"]


def by_head(rows: Rows, heads: int) -> Float[Tensor, "member batch head unit"]:
    """A view of the rows of all heads, with an axis for these."""
    return rows.view(len(rows), -1, heads, rows.shape[2])


def signs_or_normal(columns: Sequence[int], heads: int, seeds: Sequence[int], *, normal: bool) -> HeadInputs:
    """The r of the first layer, the only weights that differ between heads at first: ±1, or from N(0, 1).

    Args:
        columns: the column that each input comes from; inputs of one column have the same number.
    """
    empty, sources = torch.empty(heads, max(columns) + 1), [generator(seed, "heads") for seed in seeds]
    drawn = torch.stack([empty.clone().normal_(generator=source) for source in sources])
    return (drawn if normal else torch.ones_like(drawn).copysign(drawn))[..., list(columns)]


class SharedLinear(Linear):
    """A linear layer of K heads that share W: z = (x ∘ r)W ∘ s + b, with each head's own r, s and b.

    It is that of BatchEnsemble (Wen et al. 2020, equation 5). W and b are drawn as in `Linear`, and b is the
    same for all heads; s is 1.

    Args:
        r: of each head. The input of the first layer is the same for all of them.
    """

    def __init__(self, inputs: int, outputs: int, seeds: Sequence[int], index: int, r: HeadInputs) -> None:
        super().__init__(inputs, outputs, seeds, index)
        self.heads, self.is_first, self.r = r.shape[1], index == 0, nn.Parameter(r)
        self.s = nn.Parameter(torch.ones(len(seeds), self.heads, outputs))
        bias = self.bias.detach().repeat(1, self.heads, 1)
        self.bias: Float[Tensor, "member head output"] = nn.Parameter(bias)

    def forward(self, x: Float[Tensor, "member batch input"]) -> Float[Tensor, "member row output"]:
        """(x ∘ r)W ∘ s + b: one product for the rows of all heads."""
        x = x.unsqueeze(2) if self.is_first else by_head(x, self.heads)
        product = padded_product((x * self.r.unsqueeze(1)).flatten(1, 2), self.weight)
        product = by_head(product, self.heads)
        return torch.addcmul(self.bias.unsqueeze(1), product, self.s.unsqueeze(1)).flatten(1, 2)

    def operation(self, x: Buffer, workspace: Workspace, *, skip: bool = False) -> Operation:
        """With p = x ∘ r and u = pW, sums over the rows of a head, and η = δ ∘ s:

        ∂L/∂b = Σ δ, ∂L/∂s = Σ δ ∘ u, ∂L/∂W = pᵀη, ∂L/∂r = Σ ηWᵀ ∘ x, ∂L/∂x = ηWᵀ ∘ r, summed over the heads
        in the first layer.
        """
        parameters = workspace.parameters_of(self, "weight", "r", "s", "bias")
        (weight, grad_weight), (r, grad_r), (s, grad_s), (bias, grad_bias) = parameters
        members, inputs, outputs = weight.shape
        grad_x = workspace.gradient(inputs)
        workspace.heads = self.heads
        p, u, z = (workspace.new(width) for width in (inputs, outputs, outputs))
        padded_weight, product = weight, grad_weight
        if is_padded := bool(inputs % 4 or outputs % 4):
            shape = members, p.padded.shape[2], u.padded.shape[2]
            padded_weight, product = weight.new_zeros(shape), weight.new_empty(shape)
        p_heads, u_heads, z_heads = (by_head(buffer.values, self.heads) for buffer in (p, u, z))

        def x_heads() -> Float[Tensor, "member batch _ input"]:
            return x.values.unsqueeze(2) if self.is_first else by_head(x.values, self.heads)

        def forward() -> None:
            torch.mul(x_heads(), r.unsqueeze(1), out=p_heads)
            p.clear_padding()
            if is_padded:
                padded_weight[:, :inputs, :outputs].copy_(weight)
            torch.bmm(p.padded, padded_weight, out=u.padded)
            torch.addcmul(bias.unsqueeze(1), u_heads, s.unsqueeze(1), out=z_heads)
            z.clear_padding()

        def backward(gradient: Buffer) -> Buffer:
            delta = by_head(gradient.values, self.heads)
            torch.sum(delta, 1, out=grad_bias)
            torch.sum(u_heads.mul_(delta), 1, out=grad_s)
            delta.mul_(s.unsqueeze(1))
            torch.bmm(p.padded.mT, gradient.padded, out=product)
            if is_padded:
                grad_weight.copy_(product[:, :inputs, :outputs])
            torch.bmm(gradient.padded, padded_weight.mT, out=p.padded)
            if skip:
                by_head(grad_x.values, self.heads).addcmul_(p_heads, r.unsqueeze(1))
            elif not self.is_first:
                torch.mul(p_heads, r.unsqueeze(1), out=by_head(grad_x.values, self.heads))
            elif x.needs_gradient:
                torch.sum(p_heads * r.unsqueeze(1), 2, out=grad_x.values)
            torch.sum(p_heads.mul_(x_heads()), 1, out=grad_r)
            return grad_x

        return Operation(z, forward, backward)


class SeparateLinear(nn.Module):
    """The output layer: a linear layer for each head, whose weights are drawn as in `Linear`."""

    def __init__(self, inputs: int, outputs: int, seeds: Sequence[int], index: int, heads: int) -> None:
        super().__init__()
        sources = [generator(seed, "weights", index) for seed in seeds]
        drawn = uniform((heads, inputs + 1, outputs), inputs**-0.5, sources)
        self.heads, self.fan_in = heads, inputs
        self.weight: Float[Tensor, "member headinput output"] = nn.Parameter(drawn[:, :, :-1].flatten(1, 2))
        self.bias: Float[Tensor, "member head output"] = nn.Parameter(drawn[:, :, -1].clone())

    def forward(self, a: Float[Tensor, "member row input"]) -> Float[Tensor, "member row output"]:
        """aW + b of each head."""
        rows = by_head(a, self.heads).transpose(1, 2).flatten(0, 1)
        weight = torch.unflatten(self.weight, 1, (self.heads, -1)).flatten(0, 1)
        z = torch.unflatten(padded_product(rows, weight), 0, (-1, self.heads)).transpose(1, 2)
        return (z + self.bias.unsqueeze(1)).flatten(1, 2)

    def operation(self, a: Buffer, workspace: Workspace) -> Operation:
        """z = aW + b of each head; ∂L/∂W = aᵀδ, ∂L/∂b = Σ δ, ∂L/∂a = δWᵀ, as in `Linear`."""
        (weight, grad_weight), (bias, grad_bias) = workspace.parameters_of(self, "weight", "bias")
        (members, _, outputs), heads, inputs = weight.shape, self.heads, a.width
        z, grad_a = workspace.new(outputs), workspace.gradient(inputs)
        shape = members, heads, a.padded.shape[2], z.padded.shape[2]
        padded_weight, product = weight.new_zeros(shape), weight.new_empty(shape)

        def heads_first(rows: Rows) -> Planes:
            return by_head(rows, heads).transpose(1, 2)

        def multiply(left: Planes, right: Planes, out: Planes) -> None:
            for of_member in zip(left, right, out, strict=True):
                torch.bmm(*of_member[:2], out=of_member[2])

        def forward() -> None:
            padded_weight[:, :, :inputs, :outputs].copy_(weight.view(members, heads, inputs, outputs))
            multiply(heads_first(a.padded), padded_weight, heads_first(z.padded))
            by_head(z.values, heads).add_(bias.unsqueeze(1))

        def backward(gradient: Buffer) -> Buffer:
            delta = heads_first(gradient.padded)
            multiply(heads_first(a.padded).mT, delta, product)
            grad_weight.view(members, heads, inputs, outputs).copy_(product[:, :, :inputs, :outputs])
            torch.sum(by_head(gradient.values, heads), 1, out=grad_bias)
            multiply(delta, padded_weight.mT, heads_first(grad_a.padded))
            return grad_a

        return Operation(z, forward, backward)


def mean_of_heads(z: Rows, heads: int, *, logits: bool) -> Float[Tensor, "member batch unit"]:
    """The mean prediction for each row; of logits, the logarithm of the mean probability."""
    if not logits:
        return by_head(z, heads).mean(2)
    logs = by_head(torch.log_softmax(z, 2), heads)
    largest = logs.amax(2, keepdim=True)
    powers = elementwise(torch.exp, (logs - largest).flatten(1, 2)).view(logs.shape)
    return elementwise(torch.log, powers.sum(2)) + (largest.squeeze(2) - math.log(heads))
