"""Periodic features of numeric columns."""

import torch
from torch import Tensor

from mlplab.models.backpropagation.buffers import Buffer, Buffers
from mlplab.models.backpropagation.operations import Operation
from mlplab.models.periodic_features import TURN, PeriodicFeatures


class Periodic(Operation):
    """Appends s · cos(2π(wx + b)) to x, with s = √(2/count)."""

    def __init__(self, layer: PeriodicFeatures, x: Buffer, inputs: int, buffers: Buffers) -> None:
        self.module, self.frequency, self.phase = layer, layer.weight, layer.bias
        self.parameters = [self.frequency, self.phase]
        self.x, self.layer, self.inputs, self.buffers = x, layer, inputs, buffers
        self.angles, self.cosines = buffers.new(layer.features), buffers.new(layer.features)
        self.output = buffers.new(inputs + layer.features)

    def _by_number(self, values: Tensor) -> Tensor:
        """A view of features as `[member, batch, number, count]`."""
        return values.view(*values.shape[:2], self.layer.numbers, self.layer.count)

    def forward(self) -> None:
        """Computes what `PeriodicFeatures` does."""
        x, angles = self.x.values, self._by_number(self.angles.values)
        frequency, phase = (each.unsqueeze(1) * TURN for each in self.parameters)
        torch.mul(x[..., : self.layer.numbers].unsqueeze(3), frequency, out=angles).add_(phase)
        torch.cos(self.angles.flat, out=self.cosines.flat)
        self.output.values[..., : self.inputs].copy_(x)
        torch.mul(self.cosines.values, self.layer.scale, out=self.output.values[..., self.inputs :])

    def backward(self, gradient: Buffer, *of_parameters: Tensor) -> Buffer:
        """∂L/∂b = −2πs Σ sin(2π(wx + b)) · ∂L/∂cos, ∂L/∂w the same times x; ∂L/∂x also from x itself."""
        of_frequency, of_phase = of_parameters
        torch.sin(self.angles.flat, out=self.angles.flat)
        sines, factor = self.angles.values.mul_(gradient.values[..., self.inputs :]), -TURN * self.layer.scale
        by_number = self._by_number(sines)
        of_phase.add_(sines.sum(1).view(of_phase.shape), alpha=factor)
        numbers = self.x.values[..., : self.layer.numbers].unsqueeze(3)
        torch.mul(by_number, numbers, out=self._by_number(self.cosines.values))
        of_frequency.add_(self.cosines.values.sum(1).view(of_frequency.shape), alpha=factor)
        if not self.x.needs_gradient:
            return gradient
        of_x = self.buffers.gradient(self.inputs)
        of_x.values.copy_(gradient.values[..., : self.inputs])
        of_x.values[..., : self.layer.numbers].add_(
            (by_number * (self.frequency * factor).unsqueeze(1)).sum(3)
        )
        return of_x
