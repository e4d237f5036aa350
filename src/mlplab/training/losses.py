"""Losses, one value for each member.

A new loss is a function in `build_loss`'s table, a section in `mlplab.config` and a file in `conf/loss/`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from mlplab import config

Values = Float[Tensor, "member batch target"]


@dataclass(frozen=True)
class Loss:
    """A loss of errors in encoded units.

    Args:
        elementwise: of an error (prediction − target), value by value.
        degree: the power of the target's unit in it; a loss times the target's deviation to that power is
            the loss in the target's own units.
    """

    elementwise: Callable[[Values], Values]
    degree: int

    def __call__(self, predicted: Values, target: Values) -> Float[Tensor, " member"]:
        """The mean over a member's rows and targets."""
        return self.elementwise(predicted - target).mean((1, 2))

    def in_target_units(
        self, losses: Float[Tensor, " member"], y_std: Float64[Tensor, "member 1 target"]
    ) -> Float64[Tensor, " member"]:
        """Losses as they would be of errors in the target's own units."""
        return losses.double() * y_std.flatten() ** self.degree


def build_loss(losses: Sequence[config.PlainLoss | config.HuberLoss]) -> Loss:
    """The loss of members whose losses have one name."""
    if losses[0].name == "mse":
        return Loss(torch.square, degree=2)
    if losses[0].name == "mae":
        return Loss(torch.abs, degree=1)
    deltas = [loss.delta for loss in losses if isinstance(loss, config.HuberLoss)]
    return Loss(lambda error: huber(error, error.new_tensor(deltas).reshape(-1, 1, 1)), degree=2)


def huber(error: Values, delta: Float[Tensor, "member 1 1"]) -> Values:
    """½e² up to |e| = δ, and δ(|e| − ½δ) beyond (Huber 1964)."""
    size = error.abs()
    return torch.where(size <= delta, error.square() / 2, delta * (size - delta / 2))
