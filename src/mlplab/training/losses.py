"""Losses: one value for each member.

A new loss needs a function in `LOSSES`, a section in `mlplab.config` and a file in `conf/loss/`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from mlplab import config

Values = Float[Tensor, "member batch target"]


@dataclass(frozen=True)
class Loss:
    """A loss of scaled predictions and targets, and its derivative.

    Args:
        function: f(e), elementwise, of the error e = prediction − target.
        derivative: f′(e).
        degree: power of the target's unit in the loss. A loss times the target's standard deviation to this
            power is in the target's own units.
    """

    function: Callable[[Values], Values]
    derivative: Callable[[Values], Values]
    degree: int

    def __call__(
        self,
        predicted: Values,
        target: Values,
        weight: Float[Tensor, "member batch 1"] | None = None,
        total: Float64[Tensor, " member"] | None = None,
    ) -> Float[Tensor, " member"]:
        """The mean over targets and a member's rows, weighted by `weight`; 0 if all weights are 0.

        With `total`, the weighted sum is divided by it instead of the sum of the weights.
        """
        divisor: Tensor | int = target.shape[1] * target.shape[2]
        if weight is not None:
            weight = weight.to(predicted.dtype)
            sums = weight.sum((1, 2)) if total is None else total.to(weight.dtype)
            divisor = sums.clamp(min=torch.finfo(weight.dtype).tiny) * target.shape[2]
        losses: Tensor = _WeightedMean.apply(self, predicted, target, weight, divisor)
        return losses

    def in_target_units(
        self, losses: Float[Tensor, " member"], y_std: Float64[Tensor, "member 1 target"]
    ) -> Float64[Tensor, " member"]:
        """Converts losses to the target's own units.

        Several targets have no common unit, so their loss is returned unchanged.
        """
        if y_std.shape[2] > 1:
            return losses.double()
        return losses.double() * y_std.flatten() ** self.degree


def mse(losses: Sequence[config.SimpleLoss]) -> Loss:
    """e²."""
    return Loss(torch.square, lambda error: 2 * error, degree=2)


def mae(losses: Sequence[config.SimpleLoss]) -> Loss:
    """|e|."""
    return Loss(torch.abs, torch.sign, degree=1)


def huber(losses: Sequence[config.HuberLoss]) -> Loss:
    """½e² up to |e| = δ, and δ(|e| − ½δ) beyond (Huber 1964), with each member's own δ."""
    deltas = [loss.delta for loss in losses]

    @cache
    def tensor(dtype: torch.dtype, device: torch.device) -> Float[Tensor, "member 1 1"]:
        return torch.tensor(deltas, dtype=dtype, device=device).reshape(-1, 1, 1)

    def function(error: Values) -> Values:
        size, delta = error.abs(), tensor(error.dtype, error.device)
        return torch.where(size <= delta, error.square() / 2, delta * (size - delta / 2))

    def derivative(error: Values) -> Values:
        delta = tensor(error.dtype, error.device)
        return error.clamp(-delta, delta)

    return Loss(function, derivative, degree=2)


LOSSES: dict[str, Callable[[Any], Loss]] = {"mse": mse, "mae": mae, "huber": huber}
"""Losses by their names in the configuration; each function takes the sections of all members."""


def build_loss(losses: Sequence[config.SimpleLoss | config.HuberLoss]) -> Loss:
    """The loss of members whose losses have the same name."""
    return LOSSES[losses[0].name](losses)


class _WeightedMean(torch.autograd.Function):
    """Σ wf(e)/divisor over a member's rows, whose derivative is wf′(e)/divisor for each prediction."""

    @staticmethod
    def forward(
        ctx: Any,
        loss: Loss,
        predicted: Values,
        target: Values,
        weight: Float[Tensor, "member batch 1"] | None,
        divisor: Float[Tensor, " member"] | int,
    ) -> Float[Tensor, " member"]:
        error = predicted - target
        ctx.save_for_backward(predicted, target)
        ctx.loss, ctx.error, ctx.weight, ctx.divisor = loss, error, weight, divisor
        values = loss.function(error)
        return (values if weight is None else values * weight).sum((1, 2)) / divisor

    @staticmethod
    def backward(ctx: Any, of_losses: Float[Tensor, " member"]) -> tuple[Values | None, ...]:
        share = (of_losses / ctx.divisor).view(-1, 1, 1)
        if ctx.weight is not None:
            share = share * ctx.weight
        error = ctx.error
        if torch.is_grad_enabled():  # for second derivatives, autograd must know where the error comes from
            predicted, target = ctx.saved_tensors
            error = predicted - target
        return None, ctx.loss.derivative(error) * share, None, None, None
