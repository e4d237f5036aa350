"""Dropout: masks that are drawn for each batch."""

import torch
from torch import Tensor

from mlplab.models import layers
from mlplab.models.backpropagation.buffers import Buffer, Buffers
from mlplab.models.backpropagation.operations import Operation

aten = torch.ops.aten


class Dropout(Operation):
    """a ∘ mask, whose values are 0 or 1/(1 − rate)."""

    def __init__(self, dropout: layers.Dropout, a: Buffer, buffers: Buffers) -> None:
        self.dropout, self.a = dropout, a
        self.output, self.mask = buffers.new(a.width), buffers.new(a.width)

    def forward(self) -> None:
        """Draws a mask and applies it."""
        self.dropout.draw(self.mask.values)
        torch.mul(self.a.flat, self.mask.flat, out=self.output.flat)

    def backward(self, gradient: Buffer, *of_parameters: Tensor) -> Buffer:
        """Applies the same mask."""
        torch.mul(gradient.flat, self.mask.flat, out=self.output.flat)
        return self.output


class ReluDropout(Operation):
    """relu(z) ∘ mask, in place: the gradient is 0 where the result is, so the mask is not needed again."""

    def __init__(self, dropout: layers.Dropout, z: Buffer, buffers: Buffers) -> None:
        self.dropout, self.output = dropout, z
        self.mask = buffers.gradient(z.width)  # not in use during the forward pass

    def forward(self) -> None:
        """Draws a mask and applies it."""
        self.dropout.draw(self.mask.values)
        torch.relu_(self.output.flat)
        self.output.values.mul_(self.mask.values)

    def backward(self, gradient: Buffer, *of_parameters: Tensor) -> Buffer:
        """δ = ∂L/∂a /(1 − rate), or 0."""
        a = self.output.flat
        aten.threshold_backward.grad_input(gradient.flat, a, 0, grad_input=a)
        self.output.values.mul_(self.dropout.scale)
        return self.output
