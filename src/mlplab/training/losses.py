"""Losses: one value for each member.

A new loss needs a function in `LOSSES`, a section in `mlplab.config` and a file in `conf/loss/`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from mlplab import config

Values = Float[Tensor, "member batch target"]


@dataclass(frozen=True)
class Loss:
    """A loss of scaled predictions and targets.

    Args:
        elementwise: the loss of each error (prediction − target).
        degree: power of the target's unit in the loss. A loss times the target's standard deviation to this
            power is in the target's own units.
    """

    elementwise: Callable[[Values], Values]
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
        values = self.elementwise(predicted - target)
        if weight is None:
            return values.sum((1, 2)) / (values.shape[1] * values.shape[2])
        weight = weight.to(values.dtype)
        sums = weight.sum((1, 2)) if total is None else total.to(values.dtype)
        sums = sums.clamp(min=torch.finfo(values.dtype).tiny)
        return (values * weight).sum((1, 2)) / (sums * values.shape[2])

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
    return Loss(torch.square, degree=2)


def mae(losses: Sequence[config.SimpleLoss]) -> Loss:
    """|e|."""
    return Loss(torch.abs, degree=1)


def huber(losses: Sequence[config.HuberLoss]) -> Loss:
    """½e² up to |e| = δ, and δ(|e| − ½δ) beyond (Huber 1964), with each member's own δ."""
    deltas = [loss.delta for loss in losses]

    def elementwise(error: Values) -> Values:
        size, delta = error.abs(), error.new_tensor(deltas).reshape(-1, 1, 1)
        return torch.where(size <= delta, error.square() / 2, delta * (size - delta / 2))

    return Loss(elementwise, degree=2)


LOSSES: dict[str, Callable[[Any], Loss]] = {"mse": mse, "mae": mae, "huber": huber}
"""Losses by their names in the configuration; each function takes the sections of all members."""


def build_loss(losses: Sequence[config.SimpleLoss | config.HuberLoss]) -> Loss:
    """The loss of members whose losses have the same name."""
    return LOSSES[losses[0].name](losses)
