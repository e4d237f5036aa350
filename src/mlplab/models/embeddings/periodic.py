"""Periodic features of numeric columns, with learned frequencies, and projections of them."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from mlplab.models.backpropagation import Buffer, Operation, Workspace
from mlplab.models.embeddings.columnwise import Column, ColumnwiseEmbedding, Encoding, Features
from mlplab.models.layers.activation import elementwise
from mlplab.models.layers.linear import uniform
from mlplab.random_streams import generator

TURN = 2 * math.pi  # the angle of a whole turn


class PeriodicFeatures(nn.Module):
    """Appends √(2/count) · cos(2π(wx + b)) to its input, for each numeric column x.

    The features are random Fourier features (Rahimi & Recht 2007, algorithm 1) whose frequencies w and phases
    b are learned. With such features, a network fits steep or wavy functions of a column much faster
    (Gorishniy et al. 2022, arXiv 2203.05556). The frequencies are drawn from N(0, 0.1²), so that the features
    of standardised columns are smooth at first, and the phases from U(−½, ½).

    Args:
        numbers: how many of the input's columns are numeric; they come first.
        count: number of features of each numeric column.
    """

    parameter_group = "numeric_embeddings"

    def __init__(self, numbers: int, count: int, seeds: Sequence[int]) -> None:
        super().__init__()
        self.numbers, self.width, self.scale = numbers, count, math.sqrt(2 / count)
        self.weight, self.bias = draw(numbers, count, seeds)

    def sources(self, columns: Sequence[int]) -> list[int]:
        """The column that each output comes from, given that of each input."""
        return [*columns, *np.repeat(columns[: self.numbers], self.width).tolist()]

    def forward(self, x: Float[Tensor, "member batch input"]) -> Float[Tensor, "member batch output"]:
        """The input, followed by the features of each numeric column in turn."""
        weight, bias = (parameter.unsqueeze(1) * TURN for parameter in (self.weight, self.bias))
        angles = (x[..., : self.numbers].unsqueeze(3) * weight + bias).flatten(2)
        return torch.cat([x, elementwise(torch.cos, angles) * self.scale], 2)

    def operation(self, x: Buffer, workspace: Workspace) -> Operation:
        """The input and its features; with s = √(2/count):

        ∂L/∂b = −2πs Σ sin(2π(wx + b)) · ∂L/∂cos; ∂L/∂w the same times x; ∂L/∂x also from x itself.
        """
        (weight, grad_weight), (bias, grad_bias) = workspace.parameters_of(self, "weight", "bias")
        numbers, inputs, added = self.numbers, x.width, self.numbers * self.width
        angles, cosines = workspace.new(added), workspace.new(added)
        output, factor = workspace.new(inputs + added), -TURN * self.scale
        shape = *angles.values.shape[:2], numbers, self.width  # of views of features by their column

        def forward() -> None:
            columns, turning = x.values[..., :numbers].unsqueeze(3), weight.unsqueeze(1) * TURN
            torch.mul(columns, turning, out=angles.values.view(shape)).add_(bias.unsqueeze(1) * TURN)
            torch.cos(angles.flat, out=cosines.flat)
            output.values[..., :inputs].copy_(x.values)
            torch.mul(cosines.values, self.scale, out=output.values[..., inputs:])

        def backward(gradient: Buffer) -> Buffer:
            torch.sin(angles.flat, out=angles.flat)
            sines = angles.values.mul_(gradient.values[..., inputs:])
            torch.mul(sines.sum(1).view(grad_bias.shape), factor, out=grad_bias)
            columns = x.values[..., :numbers].unsqueeze(3)
            torch.mul(sines.view(shape), columns, out=cosines.values.view(shape))
            torch.mul(cosines.values.sum(1).view(grad_weight.shape), factor, out=grad_weight)
            if not x.needs_gradient:
                return gradient
            grad_x = workspace.gradient(inputs)
            grad_x.values.copy_(gradient.values[..., :inputs])
            grad_x.values[..., :numbers].add_((sines.view(shape) * (weight * factor).unsqueeze(1)).sum(3))
            return grad_x

        return Operation(output, forward, backward)


class PeriodicProjection(ColumnwiseEmbedding):
    """Puts `width` values of each numeric column x before all columns: an affine map of cos(2π(wx + b)).

    With 16 cosines and 3 values, that is the embedding PBLD of RealMLP (arXiv 2407.04491). The weights and
    biases of the map are drawn from U(−1/√count, 1/√count).
    """

    REPLACES = False

    def __init__(self, numbers: int, count: int, width: int, seeds: Sequence[int]) -> None:
        super().__init__(numbers, count, width, seeds, bound=count**-0.5)
        self.frequency, self.phase = draw(numbers, count, seeds)

    def encode(self, column: Column) -> Features:
        """cos(2π(wx + b))."""
        frequency, phase = (parameter.unsqueeze(2) * TURN for parameter in (self.frequency, self.phase))
        angles = torch.addcmul(phase, column, frequency)
        return elementwise(torch.cos, angles.flatten(1, 2)).view(angles.shape)

    def encoding(self, planes: Buffer, workspace: Workspace) -> Encoding:
        """cos(2π(wx + b)); with the gradient g at the cosines:

        ∂L/∂b = −2π Σ sin(2π(wx + b)) · g; ∂L/∂w the same times x.
        """
        parameters = workspace.parameters_of(self, "frequency", "phase")
        (frequency, grad_frequency), (phase, grad_phase) = parameters
        angles = Buffer(planes.padded, planes.width)
        sines, products = (torch.unflatten(each.values, 0, (-1, self.numbers)) for each in (angles, planes))

        def forward(column: Column) -> None:
            torch.addcmul((phase * TURN).unsqueeze(2), column, (frequency * TURN).unsqueeze(2), out=sines)
            torch.cos(angles.flat, out=planes.flat)

        def backward(column: Column, gradient: Features) -> None:
            torch.sin(angles.flat, out=angles.flat)
            sines.mul_(gradient)
            torch.mul(sines.sum(2), -TURN, out=grad_phase)
            torch.mul(sines, column, out=products)
            torch.mul(products.sum(2), -TURN, out=grad_frequency)

        return Encoding(forward, backward, lambda _: (sines * (frequency * -TURN).unsqueeze(2)).sum(3))


def draw(numbers: int, count: int, seeds: Sequence[int]) -> tuple[nn.Parameter, nn.Parameter]:
    """Initial frequencies, from N(0, 0.1²), and phases of each column: `[member, number, count]`."""
    sources = [generator(seed, "frequencies") for seed in seeds]
    weights = [torch.empty(numbers, count).normal_(0, 0.1, generator=source) for source in sources]
    return nn.Parameter(torch.stack(weights)), nn.Parameter(uniform((numbers, count), 0.5, sources))
