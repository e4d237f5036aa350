"""Activation functions and their derivatives, by their names in `torch.nn.functional`."""

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mlplab.models.backpropagation import VECTOR_SIZE, Buffer, Input, Operation, Workspace

aten = torch.ops.aten


class Function(NamedTuple):
    """A function and its derivative, with a buffer between z and `out` if they need one.

    Args:
        compute: writes f(z) to `out`.
        derivative: writes f′(z) · g to `out`, given g, and f(z) in `IN_PLACE` or z in `OUT_OF_PLACE`; may
            overwrite z.
        buffer: `Workspace.new` for what `derivative` takes over from `compute`; `Workspace.gradient` for what
            only `compute` needs.
    """

    compute: Callable[..., object]
    derivative: Callable[..., object]
    buffer: Callable[[Workspace, int], Buffer] | None = None


def _elu(alpha: float, scale: float) -> Function:
    """ELU and SELU (Klambauer et al. 2017), without torch's slow expm1."""

    def compute(z: Tensor, power: Tensor, *, out: Tensor) -> None:
        torch.clamp(z, max=0, out=power).exp_().sub_(1)
        torch.clamp(z, min=0, out=out).add_(power, alpha=alpha).mul_(scale)

    def derivative(g: Tensor, a: Tensor, _: Tensor, *, out: Tensor) -> None:
        aten.elu_backward.grad_input(g, alpha, scale, 1, True, a, grad_input=out)

    return Function(compute, derivative, Workspace.gradient)


def _mish(z: Tensor, t: Tensor, *, out: Tensor) -> None:
    """zt with t = tanh(ln(1 + n)) = p/(p + 1), where p = n + n²/2 and n = eᶻ (Misra 2019, arXiv 1908.08681).

    One exponential takes a fifth of the time of torch's formula, which has a logarithm and a tanh as well.
    """
    # mish(z) equals z to all digits of float64 from 40 on; e⁸⁰ fits into float32.
    torch.clamp(z, max=40, out=out).exp_()
    torch.addcmul(out, out, out, value=0.5, out=t)
    torch.add(t, 1, out=out)
    torch.mul(z, t.div_(out), out=out)


def _mish_derivative(g: Tensor, z: Tensor, t: Tensor, *, out: Tensor) -> None:
    """f′(z) = t + (1 − t²) silu(z)."""
    silu = aten.silu.out(z, out=z)
    torch.mul(silu, t, out=out)
    torch.mul(g, silu.addcmul_(out, t, value=-1).add_(t), out=out)


def _backward(name: str, *constants: object) -> Callable[..., object]:
    """The derivative by torch's kernel of this name, with constants of the function."""
    kernel = getattr(aten, f"{name}_backward").grad_input
    return lambda g, known, out: kernel(g, known, *constants, grad_input=out)


# Functions for which z may be `out`, as f′ follows from f(z).
IN_PLACE = {
    "relu": Function(lambda z, out: torch.clamp_min(z, 0, out=out), _backward("threshold", 0)),
    "leaky_relu": Function(aten.leaky_relu.out, _backward("leaky_relu", 0.01, True)),
    "elu": _elu(1.0, 1.0),
    "selu": _elu(1.6732632423543772, 1.0507009873554805),
    "tanh": Function(torch.tanh, _backward("tanh")),
    "sigmoid": Function(torch.sigmoid, _backward("sigmoid")),
}

# Functions whose derivative needs z.
OUT_OF_PLACE = {
    "gelu": Function(aten.gelu.out, _backward("gelu")),
    "silu": Function(aten.silu.out, _backward("silu")),
    "mish": Function(_mish, _mish_derivative, Workspace.new),
}


def elementwise(function: Callable[[Tensor], Tensor], x: Input) -> Input:
    """Applies an elementwise function so that a member gets the same bits alone and anywhere in a stack.

    Vectorised code computes the last few values of a tensor one at a time, and may round them differently.
    So each member's values are padded to a multiple of `VECTOR_SIZE`.
    """
    size = x[0].numel()
    if size % VECTOR_SIZE == 0:
        return function(x)
    padded = nn.functional.pad(x.flatten(1), (0, -size % VECTOR_SIZE))
    return function(padded)[:, :size].view(x.shape)


class Activation(nn.Module):
    """a = f(z), with a function f for each member.

    Args:
        names: the function of each member.
    """

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self.names = tuple(names)

    def forward(self, z: Input) -> Input:
        """f(z)."""
        parts = [elementwise(getattr(nn.functional, name), z[part]) for name, part in self.parts()]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def operation(self, z: Buffer, workspace: Workspace) -> Operation:
        """f(z), in place if possible; δ = f′(z) · ∂L/∂a."""
        in_place = all(name in IN_PLACE for name in self.names[workspace.members])
        return self.operation_into(z if in_place else workspace.new(z.width), z, workspace)

    def operation_into(self, a: Buffer, z: Buffer, workspace: Workspace) -> Operation:
        """f(z) in `a`, in which its derivative is written, too."""
        parts, buffers = [], dict[str, Tensor]()
        for name, members in self.parts(workspace.members):
            function = (IN_PLACE | OUT_OF_PLACE)[name]
            if function.buffer and name not in buffers:
                buffers[name] = function.buffer(workspace, z.width).flat
            given = [buffers[name][members]] if name in buffers else []
            out, values = a.flat[members], z.flat[members]
            parts.append((function, members, values, out if name in IN_PLACE else values, given, out))

        def forward() -> None:
            for function, _, values, _, given, out in parts:
                function.compute(values, *given, out=out)

        def backward(gradient: Buffer) -> Buffer:
            for function, members, _, known, given, out in parts:
                function.derivative(gradient.flat[members], known, *given, out=out)
            return a

        return Operation(a, forward, backward)

    def parts(self, members: slice = slice(None)) -> list[tuple[str, slice]]:
        """The functions of some members, each with adjacent ones that share it, counted from the first."""
        parts, end = list[tuple[str, slice]](), 0
        for name, same in groupby(self.names[members]):
            start, end = end, end + len(list(same))
            parts.append((name, slice(start, end)))
        return parts


class ParametricActivation(Activation):
    """a = z + α(f(z) − z), with an α for each unit that is learned from 1 on (RealMLP, arXiv 2407.04491)."""

    parameter_group = "activations"

    def __init__(self, names: Sequence[str], units: int) -> None:
        super().__init__(names)
        self.weight: Float[Tensor, "member 1 unit"] = nn.Parameter(torch.ones(len(names), 1, units))

    def forward(self, z: Input) -> Input:
        """z + α(f(z) − z)."""
        return torch.lerp(z, super().forward(z), self.weight)

    def operation(self, z: Buffer, workspace: Workspace) -> Operation:
        """z + α(f(z) − z); ∂L/∂α = Σ (f(z) − z) · ∂L/∂a, and δ = g + α(f′(z) · g − g) with g = ∂L/∂a."""
        [(alpha, grad_alpha)] = workspace.parameters_of(self, "weight")
        function, a = self.operation_into(workspace.new(z.width), z, workspace), workspace.new(z.width)
        f = function.output.values

        def forward() -> None:
            function.forward()
            torch.lerp(z.values, f, alpha, out=a.values)

        def backward(gradient: Buffer) -> Buffer:
            torch.sub(f, z.values, out=a.values).mul_(gradient.values)
            torch.sum(a.values, 1, keepdim=True, out=grad_alpha)
            function.backward(gradient)
            torch.lerp(gradient.values, f, alpha, out=a.values)
            return a

        return Operation(a, forward, backward)
