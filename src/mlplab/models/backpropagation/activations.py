"""Activation functions and their derivatives, as operations of torch that write to given tensors."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

aten = torch.ops.aten


class ActivationFunction(NamedTuple):
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
    "relu": ActivationFunction(
        lambda z, a: torch.relu_(z),
        lambda g, a, out: aten.threshold_backward.grad_input(g, a, 0, grad_input=out),
        in_place=True,
    ),
    "leaky_relu": ActivationFunction(
        lambda z, a: nn.functional.leaky_relu_(z),
        lambda g, a, out: aten.leaky_relu_backward.grad_input(g, a, 0.01, True, grad_input=out),
        in_place=True,
    ),
    "elu": ActivationFunction(
        lambda z, a: nn.functional.elu_(z),
        lambda g, a, out: aten.elu_backward.grad_input(g, 1, 1, 1, True, a, grad_input=out),
        in_place=True,
    ),
    "selu": ActivationFunction(
        lambda z, a: torch.selu_(z),
        lambda g, a, out: aten.elu_backward.grad_input(
            g, _SELU_ALPHA, _SELU_SCALE, 1, True, a, grad_input=out
        ),
        in_place=True,
    ),
    "tanh": ActivationFunction(
        lambda z, a: torch.tanh_(z),
        lambda g, a, out: aten.tanh_backward.grad_input(g, a, grad_input=out),
        in_place=True,
    ),
    "sigmoid": ActivationFunction(
        lambda z, a: torch.sigmoid_(z),
        lambda g, a, out: aten.sigmoid_backward.grad_input(g, a, grad_input=out),
        in_place=True,
    ),
    "gelu": ActivationFunction(
        lambda z, a: aten.gelu.out(z, out=a),
        lambda g, z, out: aten.gelu_backward.grad_input(g, z, grad_input=out),
        in_place=False,
    ),
    "silu": ActivationFunction(
        lambda z, a: aten.silu.out(z, out=a),
        lambda g, z, out: aten.silu_backward.grad_input(g, z, grad_input=out),
        in_place=False,
    ),
    "mish": ActivationFunction(
        lambda z, a: aten.mish.out(z, out=a),
        lambda g, z, out: out.copy_(aten.mish_backward(g, z)),
        in_place=False,
    ),
    "softplus": ActivationFunction(
        lambda z, a: aten.softplus.out(z, out=a),
        lambda g, z, out: aten.softplus_backward.grad_input(g, z, 1, 20, grad_input=out),
        in_place=False,
    ),
    "hardswish": ActivationFunction(
        lambda z, a: aten.hardswish.out(z, out=a),
        lambda g, z, out: aten.hardswish_backward.out(g, z, out=out),
        in_place=False,
    ),
}
"""By their names in `torch.nn.functional`."""
