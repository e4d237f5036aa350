"""Normalisation of a layer's z over its units or over the batch."""

import torch
from torch import Tensor

from mlplab.models import layers
from mlplab.models.backpropagation.buffers import Buffer, Buffers
from mlplab.models.backpropagation.operations import Operation

aten = torch.ops.aten


class LayerNorm(Operation):
    """γx̂ + β, with z normalised over a row's units."""

    def __init__(self, norm: layers.LayerNorm, z: Buffer, buffers: Buffers) -> None:
        self.module, self.gamma, self.beta = norm, norm.weight, norm.bias
        self.parameters = [self.gamma, self.beta]
        self.z, self.eps, self.shape = z, norm.eps, (z.width,)
        self.output = buffers.new(z.width)

    def forward(self) -> None:
        """Computes what `torch.nn.functional.layer_norm` does."""
        self.normed, self.mean, self.rstd = torch.native_layer_norm(
            self.z.values, self.shape, None, None, self.eps
        )
        torch.addcmul(self.beta, self.normed, self.gamma, out=self.output.values)
        self.output.clear_padding()

    def backward(self, gradient: Buffer, *of_parameters: Tensor) -> Buffer:
        """Differentiates through mean and variance of each row."""
        of_normed = _through_scale(gradient.values, self.normed, self.gamma, *of_parameters)
        through, _, _ = aten.native_layer_norm_backward(
            of_normed, self.z.values, self.shape, self.mean, self.rstd, None, None, [True, False, False]
        )
        self.z.values.copy_(through)
        return self.z


class BatchNorm(Operation):
    """γx̂ + β, with z normalised over the rows, or by running statistics."""

    def __init__(self, norm: layers.BatchNorm, z: Buffer, buffers: Buffers) -> None:
        self.module, self.gamma, self.beta = norm, norm.weight, norm.bias
        self.parameters = [self.gamma, self.beta]
        self.norm, self.z, self.buffers = norm, z, buffers
        self.output = buffers.new(z.width)

    def forward(self) -> None:
        """Computes what `layers.BatchNorm` does."""
        self.of_batch, self.shares = self.norm.uses_batch(self.z.values), self.buffers.shares
        mean, var = self.norm.statistics(self.z.values, self.shares)
        self.rstd = (var + self.norm.eps).rsqrt()
        self.normed = (self.z.values - mean) * self.rstd
        torch.addcmul(self.beta, self.normed, self.gamma, out=self.output.values)
        self.output.clear_padding()

    def backward(self, gradient: Buffer, *of_parameters: Tensor) -> Buffer:
        """Differentiates through mean and variance of the batch, if it was normalised by them.

        See Ioffe & Szegedy 2015, section 3: δ = (g − p(Σg + x̂Σgx̂))/σ, with the gradient g of x̂, for a row
        with the share p of the weights; p is 0 if its member was normalised by running statistics.
        """
        through = _through_scale(gradient.values, self.normed, self.gamma, *of_parameters)
        if self.of_batch and self.shares is None:
            along = (through * self.normed).mean(1, keepdim=True)
            through = through - through.mean(1, keepdim=True) - self.normed * along
        elif self.of_batch and self.shares is not None:
            along = (through * self.normed).sum(1, keepdim=True)
            sums = through.sum(1, keepdim=True) + self.normed * along
            through = through - self.shares.to(through.dtype) * sums
        torch.mul(through, self.rstd, out=self.z.values)
        return self.z


def _through_scale(
    gradient: Tensor, normed: Tensor, gamma: Tensor, of_gamma: Tensor, of_beta: Tensor
) -> Tensor:
    """Adds the gradients of γ and β, and returns that of x̂."""
    of_gamma.add_((gradient * normed).sum(1, keepdim=True))
    of_beta.add_(gradient.sum(1, keepdim=True))
    return gradient * gamma
