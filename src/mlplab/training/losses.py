"""Losses: one value for each member.

A new loss needs a function in `LOSSES`, a section in `mlplab.config` and a file in `conf/loss/`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Float64
from torch import Tensor
from torch.autograd.function import once_differentiable

from mlplab import config
from mlplab.data.batches.loader import Batch
from mlplab.models.activation import elementwise
from mlplab.models.targets import TargetTransform

Outputs = Float[Tensor, "member batch output"]
Targets = Float[Tensor, "member batch target"]
RowLosses = tuple[Targets, Callable[[], Outputs]]


@dataclass(frozen=True)
class Loss:
    """A loss of outputs and targets, and its derivative.

    Args:
        by_row: the loss of each row and target; and a function that gives its derivative with respect to each
            output.
        degree: power of the target's unit in the loss. A loss times the target's standard deviation to this
            power is in the target's own units.
    """

    by_row: Callable[[Outputs, Targets], RowLosses]
    degree: int

    def __call__(
        self,
        predicted: Outputs,
        target: Targets,
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
        self, losses: Float[Tensor, " member"], transform: TargetTransform
    ) -> Float64[Tensor, " member"]:
        """Converts losses to the target's own units; those of classes and of several targets have none."""
        return losses.double() * transform.unit**self.degree


def mse(losses: Sequence[config.SimpleLoss]) -> Loss:
    """e²."""

    def by_row(outputs: Outputs, target: Targets) -> RowLosses:
        error = outputs - target
        return error.square(), lambda: 2 * error

    return Loss(by_row, degree=2)


def mae(losses: Sequence[config.SimpleLoss]) -> Loss:
    """|e|."""

    def by_row(outputs: Outputs, target: Targets) -> RowLosses:
        error = outputs - target
        return error.abs(), error.sign

    return Loss(by_row, degree=1)


def huber(losses: Sequence[config.HuberLoss]) -> Loss:
    """½e² up to |e| = δ, and δ(|e| − ½δ) beyond (Huber 1964), with each member's own δ."""
    deltas = torch.tensor([loss.delta for loss in losses], dtype=torch.float64).reshape(-1, 1, 1)

    def by_row(outputs: Outputs, target: Targets) -> RowLosses:
        error, delta = outputs - target, deltas.to(outputs)
        size = error.abs()
        values = torch.where(size <= delta, error.square() / 2, delta * (size - delta / 2))
        return values, lambda: error.clamp(-delta, delta)

    return Loss(by_row, degree=2)


def cross_entropy(losses: Sequence[config.CrossEntropyLoss]) -> Loss:
    """−Σₖ qₖ log pₖ with p = softmax(z) of the logits z; its derivative with respect to z is p − q.

    q is 1 for a row's class and 0 for all others. With label smoothing ε (Szegedy et al. 2016), each member's
    own, it is (1 − ε)q + ε/K for K classes.
    """
    smoothing = torch.tensor([loss.label_smoothing for loss in losses], dtype=torch.float64).reshape(-1, 1, 1)
    is_smooth = bool(smoothing.any())

    def by_row(logits: Outputs, target: Targets) -> RowLosses:
        q, log_p = torch.zeros_like(logits).scatter_(2, target.long(), 1), torch.log_softmax(logits, 2)
        if is_smooth:
            epsilon = smoothing.to(q)
            q = (1 - epsilon) * q + epsilon / q.shape[2]
        return -(q * log_p).sum(2, keepdim=True), lambda: elementwise(torch.exp, log_p) - q

    return Loss(by_row, degree=0)


LOSSES: dict[str, Callable[[Any], Loss]] = {
    "mse": mse,
    "mae": mae,
    "huber": huber,
    "cross_entropy": cross_entropy,
}
"""By their names in the configuration; each function takes the sections of all members."""


def build_loss(losses: Sequence[config.Loss]) -> Loss:
    """The loss of members whose losses have the same name."""
    return LOSSES[losses[0].name](losses)


def batch_losses(
    loss: Loss, z: Outputs, batch: Batch, transform: TargetTransform
) -> Float[Tensor, " member"]:
    """Each member's loss on its rows of a batch, given the network's outputs on the scale of the loss."""
    weight = transform.loss_weight(batch.y, batch.row_weight)
    total = batch.total if weight is batch.row_weight else batch.rows()  # the mean weight of classes is 1
    return loss(z, transform.transform(batch.y), weight, total)


class _WeightedMean(torch.autograd.Function):
    """Σ wf/divisor over a member's rows, whose derivative is wf′/divisor for each output."""

    @staticmethod
    def forward(
        ctx: Any,
        loss: Loss,
        predicted: Outputs,
        target: Targets,
        weight: Float[Tensor, "member batch 1"] | None,
        divisor: Float[Tensor, " member"] | int,
    ) -> Float[Tensor, " member"]:
        values, ctx.derivative = loss.by_row(predicted, target)
        ctx.weight, ctx.divisor = weight, divisor
        return (values if weight is None else values * weight).sum((1, 2)) / divisor

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_losses: Float[Tensor, " member"]) -> tuple[Outputs | None, ...]:
        share = (grad_losses / ctx.divisor).view(-1, 1, 1)
        if ctx.weight is not None:
            share = share * ctx.weight
        return None, ctx.derivative() * share, None, None, None
