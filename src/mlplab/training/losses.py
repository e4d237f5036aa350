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
from mlplab.data.loader import Batch
from mlplab.models.class_probabilities import ClassProbabilities
from mlplab.models.layers import elementwise
from mlplab.models.target_scaling import TargetScaling

Outputs = Float[Tensor, "member batch output"]
Targets = Float[Tensor, "member batch target"]


@dataclass(frozen=True)
class Loss:
    """A loss of outputs and targets, and its derivative.

    Args:
        compare: what the loss and its derivative are computed from, such as the error.
        function: the loss of each row and target, given the result of `compare`.
        derivative: its derivative with respect to each output, given the same.
        degree: power of the target's unit in the loss. A loss times the target's standard deviation to this
            power is in the target's own units.
    """

    compare: Callable[[Outputs, Targets], Any]
    function: Callable[[Any], Targets]
    derivative: Callable[[Any], Outputs]
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
        self, losses: Float[Tensor, " member"], transform: TargetScaling | ClassProbabilities
    ) -> Float64[Tensor, " member"]:
        """Converts losses to the target's own units.

        Classes have no units and several targets no common one, so their loss is returned unchanged.
        """
        if isinstance(transform, ClassProbabilities) or transform.outputs > 1:
            return losses.double()
        return losses.double() * transform.std.flatten() ** self.degree


def mse(losses: Sequence[config.SimpleLoss]) -> Loss:
    """e²."""
    return Loss(torch.sub, torch.square, lambda error: 2 * error, degree=2)


def mae(losses: Sequence[config.SimpleLoss]) -> Loss:
    """|e|."""
    return Loss(torch.sub, torch.abs, torch.sign, degree=1)


def huber(losses: Sequence[config.HuberLoss]) -> Loss:
    """½e² up to |e| = δ, and δ(|e| − ½δ) beyond (Huber 1964), with each member's own δ."""
    deltas = [loss.delta for loss in losses]

    @cache
    def tensor(dtype: torch.dtype, device: torch.device) -> Float[Tensor, "member 1 1"]:
        return torch.tensor(deltas, dtype=dtype, device=device).reshape(-1, 1, 1)

    def function(error: Outputs) -> Targets:
        size, delta = error.abs(), tensor(error.dtype, error.device)
        return torch.where(size <= delta, error.square() / 2, delta * (size - delta / 2))

    def derivative(error: Outputs) -> Outputs:
        delta = tensor(error.dtype, error.device)
        return error.clamp(-delta, delta)

    return Loss(torch.sub, function, derivative, degree=2)


def cross_entropy(losses: Sequence[config.CrossEntropyLoss]) -> Loss:
    """−Σₖ qₖ log pₖ with p = softmax(z) of the logits z; its derivative with respect to z is p − q.

    q is 1 for a row's class and 0 for all others. With label smoothing ε (Szegedy et al. 2016), each member's
    own, it is (1 − ε)q + ε/K for K classes.
    """
    smoothing = torch.tensor([loss.label_smoothing for loss in losses], dtype=torch.float64).reshape(-1, 1, 1)
    is_smooth = bool(smoothing.any())

    def compare(logits: Outputs, target: Targets) -> tuple[Outputs, Outputs]:
        q = torch.zeros_like(logits).scatter_(2, target.long(), 1)
        if is_smooth:
            epsilon = smoothing.to(q)
            q = (1 - epsilon) * q + epsilon / q.shape[2]
        return torch.log_softmax(logits, 2), q

    def function(compared: tuple[Outputs, Outputs]) -> Targets:
        log_p, q = compared
        return -(q * log_p).sum(2, keepdim=True)

    def derivative(compared: tuple[Outputs, Outputs]) -> Outputs:
        log_p, q = compared
        return elementwise(torch.exp, log_p) - q

    return Loss(compare, function, derivative, degree=0)


LOSSES: dict[str, Callable[[Any], Loss]] = {
    "mse": mse,
    "mae": mae,
    "huber": huber,
    "cross_entropy": cross_entropy,
}
"""Losses by their names in the configuration; each function takes the sections of all members."""


def build_loss(losses: Sequence[config.Loss]) -> Loss:
    """The loss of members whose losses have the same name."""
    return LOSSES[losses[0].name](losses)


def batch_losses(
    loss: Loss, z: Outputs, batch: Batch, transform: TargetScaling | ClassProbabilities
) -> Float[Tensor, " member"]:
    """Each member's loss on its rows of a batch, given the network's outputs on the scale of the loss."""
    weight = transform.loss_weight(batch.y, batch.weight)
    total = batch.total if weight is batch.weight else batch.rows()  # the mean weight of classes is 1
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
        compared = loss.compare(predicted, target)
        ctx.save_for_backward(predicted, target)
        ctx.loss, ctx.compared, ctx.weight, ctx.divisor = loss, compared, weight, divisor
        values = loss.function(compared)
        return (values if weight is None else values * weight).sum((1, 2)) / divisor

    @staticmethod
    def backward(ctx: Any, of_losses: Float[Tensor, " member"]) -> tuple[Outputs | None, ...]:
        share = (of_losses / ctx.divisor).view(-1, 1, 1)
        if ctx.weight is not None:
            share = share * ctx.weight
        compared = ctx.compared
        if torch.is_grad_enabled():  # for second derivatives, autograd must know where this comes from
            compared = ctx.loss.compare(*ctx.saved_tensors)
        return None, ctx.loss.derivative(compared) * share, None, None, None
