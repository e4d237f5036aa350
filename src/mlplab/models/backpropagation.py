"""Backpropagation through a multilayer perceptron, written out.

For each layer, with its input a, its weights W and b, and the gradient δ = ∂L/∂z of the loss:

    forward     z = aW + b              the next layer's input is f(z)
    backward    δ = f′(z) · ∂L/∂f(z)    ∂L/∂W = aᵀδ    ∂L/∂b = Σ δ (over the rows)    ∂L/∂a = δWᵀ

Autograd computes the same, but records each small operation and allocates new tensors at each step. Here, a
pass overwrites the tensors of the pass before, and ∂L/∂W and ∂L/∂b are added to `grad` in place.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mlplab.models import layers

aten = torch.ops.aten

EVALUATION_ROWS = 256
"""Rows of a pass without gradients: enough to be fast, few enough to stay in the processor's cache. It is a
multiple of 64, so that rounding does not depend on the number of rows (see `mlplab.data.loader`)."""

MAX_FREE = 4
"""Passes kept for the next batches: of whole and of last batches, in training and in evaluation."""

Input = Float[Tensor, "member batch feature"]
Output = Float[Tensor, "member batch target"]


class Buffer:
    """The values of one layer for a batch.

    They are padded so that a member gets the same bits alone and anywhere in a stack: each row to a multiple
    of 4 values for matrix products (see `layers.Linear`), and all rows to a multiple of `VECTOR_SIZE` values
    for elementwise functions (see `layers.elementwise`).

    Args:
        like: a tensor with the members, rows, dtype and device of the batch.

    Attributes:
        flat: `[member, value]`, with all padding.
        padded: `[member, batch, unit]`, with the padding of rows; that is 0 in z and in gradients.
        values: `[member, batch, unit]`, without padding.
        needs_gradient: whether the gradient of the loss at these values is needed.
    """

    needs_gradient = True

    def __init__(self, like: Float[Tensor, "member batch _"], width: int) -> None:
        members, rows, _ = like.shape
        self.width, stride = width, width + -width % 4
        size = rows * stride
        self.flat = like.new_zeros(members, size + -size % layers.VECTOR_SIZE)
        self.padded = self.flat[:, :size].view(members, rows, stride)
        self.values = self.padded[..., :width]


class Buffers:
    """Allocates the buffers of a pass.

    Args:
        x: a batch; the buffers have its members, rows, dtype and device.

    Attributes:
        input: holds the current batch itself, without padding.
    """

    def __init__(self, x: Input) -> None:
        self._like = x.detach()[..., :1]
        self.input = Buffer(self._like, 1)
        self.input.needs_gradient = x.requires_grad
        self._gradients: dict[int, Buffer] = {}

    def new(self, width: int) -> Buffer:
        """A buffer for a layer of this width."""
        return Buffer(self._like, width)

    def gradient(self, width: int) -> Buffer:
        """A buffer for the gradient at a layer's input, which all layers of the same width share."""
        if width not in self._gradients:
            self._gradients[width] = self.new(width)
        return self._gradients[width]


class Operation(ABC):
    """An operation of the forward pass, and its part of the backward pass.

    Attributes:
        output: the result of `forward`; `backward` may overwrite it, since nothing needs it any more.
        parameters: in the order in which `backward` takes their gradients.
    """

    output: Buffer
    parameters: Sequence[Tensor] = ()

    @abstractmethod
    def forward(self) -> None:
        """Computes the output."""

    @abstractmethod
    def backward(self, gradient: Buffer, *of_parameters: Tensor) -> Buffer:
        """Adds the gradients of the parameters, and returns that of the input, given that of the output."""


class Affine(Operation):
    """z = aW + b.

    Args:
        a: the layer's input.
        skip: whether a residual connection bypasses the layer. The gradient that comes through it is already
            in the buffer for ∂L/∂a, and this layer's is added.
    """

    def __init__(self, linear: layers.Linear, a: Buffer, buffers: Buffers, *, skip: bool) -> None:
        self.weight, self.bias = linear.weight, linear.bias
        self.parameters = [self.weight, self.bias]
        self.members, self.inputs, self.outputs = linear.weight.shape
        self.a, self.buffers, self.skip = a, buffers, skip
        self.output = buffers.new(self.outputs)


class MatrixAffine(Affine):
    """As matrix products; weights are padded with zeros to multiples of 4 rows and columns."""

    def __init__(self, linear: layers.Linear, a: Buffer, buffers: Buffers, *, skip: bool) -> None:
        super().__init__(linear, a, buffers, skip=skip)
        self.padded: tuple[Tensor, Tensor, Tensor] | None = None
        below, right = -self.inputs % 4, -self.outputs % 4
        if right or (below and a.needs_gradient):
            zeros, rows, columns = self.output.flat.new_zeros, self.inputs + below, self.outputs + right
            shapes = (rows, columns), (1, columns), (self.inputs, columns)  # of W, b and ∂L/∂W
            weight, bias, product = (zeros(self.members, *shape) for shape in shapes)
            self.padded = weight, bias, product

    def forward(self) -> None:
        """One product for all members."""
        a, weight, bias = self.a.padded, self.weight, self.bias
        if self.padded:
            weight, bias, _ = self.padded
            weight[:, : self.inputs, : self.outputs].copy_(self.weight)
            bias[..., : self.outputs].copy_(self.bias)
            weight = weight[:, : a.shape[2]]
        torch.baddbmm(bias, a, weight, out=self.output.padded)

    def backward(self, gradient: Buffer, *of_parameters: Tensor) -> Buffer:
        """∂L/∂W = aᵀδ, ∂L/∂b = Σ δ, ∂L/∂a = δWᵀ."""
        delta, weight, (of_weight, of_bias) = gradient.padded, self.weight, of_parameters
        if self.padded:
            weight, _, product = self.padded
            torch.bmm(self.a.values.mT, delta, out=product)
            of_weight.add_(product[..., : self.outputs])
        else:
            of_weight.baddbmm_(self.a.values.mT, delta)
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
        """The products, and their sums if there are several inputs."""
        a, z = self.a.values, self.output.values
        if self.inputs == 1:
            torch.addcmul(self.bias, a, self.weight, out=z)
        else:
            torch.mul(a, self.weight.mT, out=self.products)
            torch.sum(self.products, 2, keepdim=True, out=z).add_(self.bias)

    def backward(self, gradient: Buffer, *of_parameters: Tensor) -> Buffer:
        """The formulas of a matrix product."""
        delta, (of_weight, of_bias) = gradient.values, of_parameters
        sums = torch.mul(self.a.values, delta, out=self.products).sum(1, keepdim=True)
        of_weight.add_(sums if self.inputs == 1 else sums.mT)
        of_bias.add_(delta.sum(1, keepdim=True))
        if not self.a.needs_gradient:
            return gradient
        of_a = self.buffers.gradient(self.inputs)
        if self.inputs > 1:
            torch.mul(delta, self.weight.mT, out=of_a.values)
        else:
            sums = torch.mul(delta, self.weight, out=self.products).sum(2, keepdim=True)
            of_a.values.copy_(of_a.values + sums if self.skip else sums)
        return of_a


def affine(linear: layers.Linear, a: Buffer, buffers: Buffers, *, skip: bool = False) -> Affine:
    """The operation of a linear layer, by the shape of its weights."""
    kind = VectorAffine if 1 in linear.weight.shape[1:] else MatrixAffine
    return kind(linear, a, buffers, skip=skip)


class _Function(NamedTuple):
    """An activation function f.

    Attributes:
        forward: writes f(z) to its second argument.
        backward: of ∂L/∂f(z) and z (or f(z), if f is in place), writes δ to its third argument.
        in_place: whether f(z) may overwrite z, since f′ follows from f(z).
    """

    forward: Callable[[Tensor, Tensor], Any]
    backward: Callable[[Tensor, Tensor, Tensor], Any]
    in_place: bool


_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805

ACTIVATIONS = {
    "relu": _Function(
        lambda z, a: torch.relu_(z),
        lambda g, a, out: aten.threshold_backward.grad_input(g, a, 0, grad_input=out),
        in_place=True,
    ),
    "leaky_relu": _Function(
        lambda z, a: nn.functional.leaky_relu_(z),
        lambda g, a, out: aten.leaky_relu_backward.grad_input(g, a, 0.01, True, grad_input=out),
        in_place=True,
    ),
    "elu": _Function(
        lambda z, a: nn.functional.elu_(z),
        lambda g, a, out: aten.elu_backward.grad_input(g, 1, 1, 1, True, a, grad_input=out),
        in_place=True,
    ),
    "selu": _Function(
        lambda z, a: torch.selu_(z),
        lambda g, a, out: aten.elu_backward.grad_input(
            g, _SELU_ALPHA, _SELU_SCALE, 1, True, a, grad_input=out
        ),
        in_place=True,
    ),
    "tanh": _Function(
        lambda z, a: torch.tanh_(z),
        lambda g, a, out: aten.tanh_backward.grad_input(g, a, grad_input=out),
        in_place=True,
    ),
    "sigmoid": _Function(
        lambda z, a: torch.sigmoid_(z),
        lambda g, a, out: aten.sigmoid_backward.grad_input(g, a, grad_input=out),
        in_place=True,
    ),
    "gelu": _Function(
        lambda z, a: aten.gelu.out(z, out=a),
        lambda g, z, out: aten.gelu_backward.grad_input(g, z, grad_input=out),
        in_place=False,
    ),
    "silu": _Function(
        lambda z, a: aten.silu.out(z, out=a),
        lambda g, z, out: aten.silu_backward.grad_input(g, z, grad_input=out),
        in_place=False,
    ),
    "mish": _Function(
        lambda z, a: aten.mish.out(z, out=a),
        lambda g, z, out: out.copy_(aten.mish_backward(g, z)),
        in_place=False,
    ),
    "softplus": _Function(
        lambda z, a: aten.softplus.out(z, out=a),
        lambda g, z, out: aten.softplus_backward.grad_input(g, z, 1, 20, grad_input=out),
        in_place=False,
    ),
    "hardswish": _Function(
        lambda z, a: aten.hardswish.out(z, out=a),
        lambda g, z, out: aten.hardswish_backward.out(g, z, out=out),
        in_place=False,
    ),
}
"""By their names in `torch.nn.functional`."""


class Activation(Operation):
    """a = f(z)."""

    def __init__(self, name: str, z: Buffer, buffers: Buffers) -> None:
        self.function = ACTIVATIONS[name]
        self.z = z
        self.output = z if self.function.in_place else buffers.new(z.width)

    def forward(self) -> None:
        """In place if possible."""
        self.function.forward(self.z.flat, self.output.flat)

    def backward(self, gradient: Buffer, *of_parameters: Tensor) -> Buffer:
        """δ = f′(z) · ∂L/∂a."""
        self.function.backward(gradient.flat, self.z.flat, self.output.flat)
        return self.output


class Dropout(Operation):
    """a ∘ mask, whose values are 0 or 1/(1 − rate)."""

    def __init__(self, dropout: layers.Dropout, a: Buffer, buffers: Buffers) -> None:
        self.dropout, self.a = dropout, a
        self.output, self.mask = buffers.new(a.width), buffers.new(a.width)

    def forward(self) -> None:
        """With a new mask."""
        self.dropout.draw(self.mask.values)
        torch.mul(self.a.flat, self.mask.flat, out=self.output.flat)

    def backward(self, gradient: Buffer, *of_parameters: Tensor) -> Buffer:
        """With the same mask."""
        torch.mul(gradient.flat, self.mask.flat, out=self.output.flat)
        return self.output


class ReluDropout(Operation):
    """relu(z) ∘ mask, in place: the gradient is 0 where the result is, so the mask is not needed again."""

    def __init__(self, dropout: layers.Dropout, z: Buffer, buffers: Buffers) -> None:
        self.dropout, self.output = dropout, z
        self.mask = buffers.gradient(z.width)  # not in use during the forward pass

    def forward(self) -> None:
        """With a new mask."""
        self.dropout.draw(self.mask.values)
        torch.relu_(self.output.flat).mul_(self.mask.flat)

    def backward(self, gradient: Buffer, *of_parameters: Tensor) -> Buffer:
        """δ = ∂L/∂a /(1 − rate), or 0."""
        a = self.output.flat
        aten.threshold_backward.grad_input(gradient.flat, a, 0, grad_input=a)
        self.output.values.mul_(self.dropout.scale)
        return self.output


class LayerNorm(Operation):
    """γx̂ + β, with z normalised over a row's units."""

    def __init__(self, norm: layers.LayerNorm, z: Buffer, buffers: Buffers) -> None:
        self.parameters = self.gamma, self.beta = norm.weight, norm.bias
        self.z, self.eps, self.shape = z, norm.eps, (z.width,)
        self.output = buffers.new(z.width)

    def forward(self) -> None:
        """As `torch.nn.functional.layer_norm`."""
        self.normed, self.mean, self.rstd = torch.native_layer_norm(
            self.z.values, self.shape, None, None, self.eps
        )
        torch.addcmul(self.beta, self.normed, self.gamma, out=self.output.values)

    def backward(self, gradient: Buffer, *of_parameters: Tensor) -> Buffer:
        """Through mean and variance of each row."""
        of_normed = _through_scale(gradient.values, self.normed, self.gamma, *of_parameters)
        through, _, _ = aten.native_layer_norm_backward(
            of_normed, self.z.values, self.shape, self.mean, self.rstd, None, None, [True, False, False]
        )
        self.z.values.copy_(through)
        return self.z


class BatchNorm(Operation):
    """γx̂ + β, with z normalised over the rows, or by running statistics."""

    def __init__(self, norm: layers.BatchNorm, z: Buffer, buffers: Buffers) -> None:
        self.parameters = self.gamma, self.beta = norm.weight, norm.bias
        self.norm, self.z = norm, z
        self.output = buffers.new(z.width)

    def forward(self) -> None:
        """As in `layers.BatchNorm`."""
        self.of_batch = self.norm.uses_batch(self.z.values)
        mean, var = self.norm.statistics(self.z.values)
        self.rstd = (var + self.norm.eps).rsqrt()
        self.normed = (self.z.values - mean) * self.rstd
        torch.addcmul(self.beta, self.normed, self.gamma, out=self.output.values)

    def backward(self, gradient: Buffer, *of_parameters: Tensor) -> Buffer:
        """Through mean and variance of the batch, if they were used (Ioffe & Szegedy 2015, section 3)."""
        through = _through_scale(gradient.values, self.normed, self.gamma, *of_parameters)
        if self.of_batch:
            along = (through * self.normed).mean(1, keepdim=True)
            through = through - through.mean(1, keepdim=True) - self.normed * along
        torch.mul(through, self.rstd, out=self.z.values)
        return self.z


def _through_scale(
    gradient: Tensor, normed: Tensor, gamma: Tensor, of_gamma: Tensor, of_beta: Tensor
) -> Tensor:
    """Adds the gradients of γ and β, and returns that of x̂."""
    of_gamma.add_((gradient * normed).sum(1, keepdim=True))
    of_beta.add_(gradient.sum(1, keepdim=True))
    return gradient * gamma


class Residual(Operation):
    """The layer's input plus its output. The gradient reaches both; `Affine` adds them."""

    def __init__(self, a: Buffer, b: Buffer, buffers: Buffers) -> None:
        self.a, self.b, self.output = a, b, buffers.new(a.width)

    def forward(self) -> None:
        """The sum."""
        torch.add(self.a.flat, self.b.flat, out=self.output.flat)

    def backward(self, gradient: Buffer, *of_parameters: Tensor) -> Buffer:
        """Unchanged."""
        return gradient


class Pass:
    """The forward and the backward pass of a network, for batches of one shape.

    Args:
        x: such a batch.
        key: of the shape.
        build: returns the operations of the forward pass, given the buffers.
    """

    def __init__(self, x: Input, key: Hashable, build: Callable[[Buffers], Iterator[Operation]]) -> None:
        self.key, self.buffers = key, Buffers(x)
        self.operations = list(build(self.buffers))
        self.parameters = [each for operation in self.operations for each in operation.parameters]
        self._output = self.operations[-1].output

    def forward(self, x: Input) -> Output:
        """The network's output."""
        batch = self.buffers.input
        batch.padded = batch.values = x
        for operation in self.operations:
            operation.forward()
        return self._output.values.clone()

    def inputs(self) -> list[Tensor]:
        """The parameters that autograd needs to know of: those without a `grad` to add to, or else one.

        Each one costs autograd several microseconds a step.
        """
        trained = [each for each in self.parameters if each.requires_grad]
        self._inputs = [each for each in trained if each.grad is None] or trained[:1]
        return self._inputs

    def backward(self, gradient: Output) -> tuple[Tensor | None, ...]:
        """Returns the gradient of `x`, if it needs one, and of those `inputs` that have no `grad`.

        The gradients of all other parameters are added to their `grad`.
        """
        returned = {id(each): torch.zeros_like(each) for each in self._inputs if each.grad is None}
        self._output.values.copy_(gradient)
        current = self._output
        for operation in reversed(self.operations):
            into = [
                each.grad
                if each.grad is not None and each.requires_grad
                else self._without_grad(each, returned)
                for each in operation.parameters
            ]
            current = operation.backward(current, *into)
        of_x = current.values.clone() if self.buffers.input.needs_gradient else None
        return of_x, *(returned.get(id(each)) for each in self._inputs)

    def _without_grad(self, parameter: Tensor, returned: dict[int, Tensor]) -> Tensor:
        if id(parameter) in returned:
            return returned[id(parameter)]
        zeros = torch.zeros_like(parameter)
        if parameter.requires_grad:  # its `grad` was dropped after the forward pass
            parameter.grad = zeros
        return zeros


class BackpropagationModule(nn.Module, ABC):
    """A network whose backward pass is written out.

    A forward pass takes a free `Pass` and the backward pass gives it back. So a forward pass has its buffers to
    itself until then, even if another one comes in between.

    Attributes:
        written_out: whether gradients come from here, or from autograd. The networks are the same.
    """

    written_out = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._free: dict[Hashable, Pass] = {}

    @abstractmethod
    def operations(self, buffers: Buffers) -> Iterator[Operation]:
        """The operations of a forward pass in the present mode (training or evaluation)."""

    @abstractmethod
    def forward_by_autograd(self, x: Input) -> Output:
        """The same forward pass, recorded by autograd."""

    def forward(self, x: Input) -> Output:
        """The network's output."""
        if not self.written_out or torch.compiler.is_compiling():
            return self.forward_by_autograd(x)
        if torch.is_grad_enabled():
            used = self._take(x)
            output: Tensor = _Backpropagation.apply(used, self._give, x, *used.inputs())
            return output
        return torch.cat([self._evaluate(each) for each in torch.split(x, EVALUATION_ROWS, 1)], 1)

    def _evaluate(self, x: Input) -> Output:
        used = self._take(x)
        output = used.forward(x)
        self._give(used)
        return output

    def _take(self, x: Input) -> Pass:
        key = x.shape, x.dtype, x.device, x.requires_grad, self.training
        return self._free.pop(key, None) or Pass(x, key, self.operations)

    def _give(self, used: Pass) -> None:
        self._free[used.key] = used
        if len(self._free) > MAX_FREE:
            del self._free[next(iter(self._free))]


class _Backpropagation(torch.autograd.Function):
    """What autograd sees of a network: one operation."""

    @staticmethod
    def forward(ctx: Any, used: Pass, give: Callable[[Pass], None], x: Input, *parameters: Tensor) -> Output:
        ctx.used, ctx.give = used, give
        return used.forward(x)

    @staticmethod
    def backward(ctx: Any, gradient: Output) -> tuple[Tensor | None, ...]:
        check_first_order()
        used, ctx.used = ctx.used, None
        if used is None:
            raise RuntimeError("a second backward pass needs a second forward pass: buffers have been reused")
        gradients = used.backward(gradient)
        ctx.give(used)
        return None, None, *gradients


def check_first_order() -> None:
    """Checks, in a backward pass that is written out, that its gradients need no gradients.

    As torch's `once_differentiable`, which takes longer.

    Raises:
        RuntimeError: if they do (`create_graph=True`).
    """
    if torch.is_grad_enabled():
        raise RuntimeError("second derivatives need autograd: set written_out = False on the network")
