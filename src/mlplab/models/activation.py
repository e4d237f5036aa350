"""Activation functions and their derivatives, by their names in `torch.nn.functional`."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mlplab.models.backpropagation import VECTOR_SIZE, Buffer, Operation, Workspace

aten = torch.ops.aten

Pair = tuple[Callable[..., Any], Callable[[Tensor, Tensor, Tensor], Any]]

IN_PLACE: dict[str, Pair] = {
    "relu": (torch.relu_, lambda g, a, out: aten.threshold_backward.grad_input(g, a, 0, grad_input=out)),
    "leaky_relu": (
        nn.functional.leaky_relu_,
        lambda g, a, out: aten.leaky_relu_backward.grad_input(g, a, 0.01, True, grad_input=out),
    ),
    "elu": (
        nn.functional.elu_,
        lambda g, a, out: aten.elu_backward.grad_input(g, 1, 1, 1, True, a, grad_input=out),
    ),
    "selu": (
        torch.selu_,
        lambda g, a, out: aten.elu_backward.grad_input(
            g, 1.6732632423543772, 1.0507009873554805, 1, True, a, grad_input=out
        ),
    ),
    "tanh": (torch.tanh_, lambda g, a, out: aten.tanh_backward.grad_input(g, a, grad_input=out)),
    "sigmoid": (torch.sigmoid_, lambda g, a, out: aten.sigmoid_backward.grad_input(g, a, grad_input=out)),
}
"""Functions that overwrite z by a = f(z), as f′ follows from a; and what writes f′ · g for the gradient g."""

OUT_OF_PLACE: dict[str, Pair] = {
    "gelu": (aten.gelu.out, lambda g, z, out: aten.gelu_backward.grad_input(g, z, grad_input=out)),
    "silu": (aten.silu.out, lambda g, z, out: aten.silu_backward.grad_input(g, z, grad_input=out)),
    "mish": (aten.mish.out, lambda g, z, out: out.copy_(aten.mish_backward(g, z))),
}
"""Likewise, for functions whose derivative needs z."""


def elementwise(
    function: Callable[[Tensor], Tensor], x: Float[Tensor, "member batch feature"]
) -> Float[Tensor, "member batch feature"]:
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
    """a = f(z)."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def forward(self, z: Float[Tensor, "member batch unit"]) -> Float[Tensor, "member batch unit"]:
        """f(z)."""
        return elementwise(getattr(nn.functional, self.name), z)

    def operation(self, z: Buffer, workspace: Workspace) -> Operation:
        """f(z), in place if possible; δ = f′(z) · ∂L/∂a."""
        in_place = self.name in IN_PLACE
        function, derivative = (IN_PLACE if in_place else OUT_OF_PLACE)[self.name]
        a = z if in_place else workspace.new(z.width)

        def forward() -> None:
            function(z.flat) if in_place else function(z.flat, out=a.flat)

        def backward(gradient: Buffer) -> Buffer:
            derivative(gradient.flat, z.flat, a.flat)
            return a

        return Operation(a, forward, backward)
