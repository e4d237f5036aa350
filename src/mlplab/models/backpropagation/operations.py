"""Backpropagation through a multilayer perceptron, written out.

For each layer, with its input a, its weights W and b, and the gradient δ = ∂L/∂z of the loss:

    forward     z = aW + b              the next layer's input is f(z)
    backward    δ = f′(z) · ∂L/∂f(z)    ∂L/∂W = aᵀδ    ∂L/∂b = Σ δ (over the rows)    ∂L/∂a = δWᵀ

Autograd computes the same, but records each small operation and allocates new tensors at each step. Here, a
pass overwrites the tensors of the pass before, and ∂L/∂W and ∂L/∂b are added to `grad` in place.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mlplab.models import layers
from mlplab.models.backpropagation.activations import ACTIVATIONS
from mlplab.models.backpropagation.buffers import Buffer, Buffers


class Operation(ABC):
    """An operation of the forward pass, and its part of the backward pass.

    Attributes:
        output: the result of `forward`. `backward` may overwrite it and the input.
        module: the layer whose `weight` and `bias` the operation uses.
        parameters: these two, in the order in which `backward` takes their gradients.
    """

    output: Buffer
    module: nn.Module | None = None
    parameters: Sequence[Tensor] = ()

    @abstractmethod
    def forward(self) -> None:
        """Computes the output."""

    @abstractmethod
    def backward(self, gradient: Buffer, *of_parameters: Tensor) -> Buffer:
        """Adds the gradients of the parameters, and returns that of the input if it needs one.

        Args:
            gradient: of the output.
        """


class Affine(Operation):
    """z = aW + b.

    Args:
        a: the layer's input.
        skip: whether a residual connection bypasses the layer. The gradient that comes through it is already
            in the buffer for ∂L/∂a, and this layer's is added.
    """

    def __init__(self, linear: layers.Linear, a: Buffer, buffers: Buffers, *, skip: bool) -> None:
        self.module, self.weight, self.bias = linear, linear.weight, linear.bias
        self.parameters = [self.weight, self.bias]
        self.members, self.inputs, self.outputs = linear.weight.shape
        self.a, self.buffers, self.skip = a, buffers, skip
        self.has_bias_gradient = linear.has_bias_gradient
        self.output = buffers.new(self.outputs)


class MatrixAffine(Affine):
    """As matrix products; weights are padded with zeros to multiples of 4 rows and columns."""

    def __init__(self, linear: layers.Linear, a: Buffer, buffers: Buffers, *, skip: bool) -> None:
        super().__init__(linear, a, buffers, skip=skip)
        self.in_padding: tuple[Tensor, Tensor, Tensor] | None = None
        below, right = -self.inputs % 4, -self.outputs % 4
        if right or (below and a.needs_gradient):
            zeros, rows, columns = self.output.flat.new_zeros, self.inputs + below, self.outputs + right
            shapes = (rows, columns), (1, columns), (self.inputs, columns)  # of W, b and ∂L/∂W
            weight, bias, product = (zeros(self.members, *shape) for shape in shapes)
            self.in_padding = weight, bias, product

    def forward(self) -> None:
        """Computes one product for all members."""
        a, weight, bias = self.a.padded, self.weight, self.bias
        if self.in_padding:
            weight, bias, _ = self.in_padding
            weight[:, : self.inputs, : self.outputs].copy_(self.weight)
            bias[..., : self.outputs].copy_(self.bias)
            weight = weight[:, : a.shape[2]]
        torch.baddbmm(bias, a, weight, out=self.output.padded)

    def backward(self, gradient: Buffer, *of_parameters: Tensor) -> Buffer:
        """∂L/∂W = aᵀδ, ∂L/∂b = Σ δ, ∂L/∂a = δWᵀ."""
        delta, weight, (of_weight, of_bias) = gradient.padded, self.weight, of_parameters
        if self.in_padding:
            weight, _, product = self.in_padding
            torch.bmm(self.a.values.mT, delta, out=product)
            of_weight.add_(product[..., : self.outputs])
        else:
            of_weight.baddbmm_(self.a.values.mT, delta)
        if self.has_bias_gradient:
            of_bias.add_(gradient.values.sum(1, keepdim=True))
        if not self.a.needs_gradient:
            return gradient
        of_a = self.buffers.gradient(self.inputs)
        if self.skip:
            of_a.padded.baddbmm_(delta, weight.mT)
        else:
            torch.bmm(delta, weight.mT, out=of_a.padded)
        return of_a


class VectorAffine(Affine):
    """With a single input or output, where elementwise products are faster."""

    def __init__(self, linear: layers.Linear, a: Buffer, buffers: Buffers, *, skip: bool) -> None:
        super().__init__(linear, a, buffers, skip=skip)
        self.products = buffers.new(max(self.inputs, self.outputs)).values

    def forward(self) -> None:
        """Multiplies, and sums if there are several inputs."""
        a, z = self.a.values, self.output.values
        if self.inputs == 1:
            torch.addcmul(self.bias, a, self.weight, out=z)
            self.output.clear_padding()
        else:
            torch.mul(a, self.weight.mT, out=self.products)
            torch.sum(self.products, 2, keepdim=True, out=z).add_(self.bias)

    def backward(self, gradient: Buffer, *of_parameters: Tensor) -> Buffer:
        """Does the same as for a matrix product."""
        delta, (of_weight, of_bias) = gradient.values, of_parameters
        sums = torch.mul(self.a.values, delta, out=self.products).sum(1, keepdim=True)
        of_weight.add_(sums if self.inputs == 1 else sums.mT)
        if self.has_bias_gradient:
            of_bias.add_(delta.sum(1, keepdim=True))
        if not self.a.needs_gradient:
            return gradient
        of_a = self.buffers.gradient(self.inputs)
        if self.inputs > 1:
            torch.mul(delta, self.weight.mT, out=of_a.values)
            of_a.clear_padding()
        else:
            sums = torch.mul(delta, self.weight, out=self.products).sum(2, keepdim=True)
            of_a.values.copy_(of_a.values + sums if self.skip else sums)
        return of_a


def affine(linear: layers.Linear, a: Buffer, buffers: Buffers, *, skip: bool = False) -> Affine:
    """The operation of a linear layer, by the shape of its weights."""
    kind = VectorAffine if 1 in linear.weight.shape[1:] else MatrixAffine
    return kind(linear, a, buffers, skip=skip)


class Activation(Operation):
    """a = f(z)."""

    def __init__(self, name: str, z: Buffer, buffers: Buffers) -> None:
        self.function = ACTIVATIONS[name]
        self.z = z
        self.output = z if self.function.in_place else buffers.new(z.width)

    def forward(self) -> None:
        """Computes f(z), in place if possible."""
        self.function.forward(self.z.flat, self.output.flat)

    def backward(self, gradient: Buffer, *of_parameters: Tensor) -> Buffer:
        """δ = f′(z) · ∂L/∂a."""
        self.function.backward(gradient.flat, self.z.flat, self.output.flat)
        return self.output


class Residual(Operation):
    """The layer's input plus its output. The gradient reaches both; `Affine` adds them."""

    def __init__(self, a: Buffer, b: Buffer, buffers: Buffers) -> None:
        self.a, self.b, self.output = a, b, buffers.new(a.width)

    def forward(self) -> None:
        """Adds the layer's input to its output."""
        torch.add(self.a.flat, self.b.flat, out=self.output.flat)

    def backward(self, gradient: Buffer, *of_parameters: Tensor) -> Buffer:
        """Returns the gradient unchanged."""
        return gradient
