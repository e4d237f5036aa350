"""Losses: one value for each member.

A new loss needs a function in `LOSSES`, a section in `mlplab.config` and a file in `conf/loss/`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Float64, Shaped
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from mlplab import config
from mlplab.config.allowed_classes import instantiate
from mlplab.data.batches.loader import Batch
from mlplab.data.schema import Schema
from mlplab.errors import Fault, UserError, refusal
from mlplab.models.layers.activation import elementwise
from mlplab.models.targets import Outputs, TargetTransform

Targets = Float[Tensor, "member batch target"]
MemberLosses = Float[Tensor, " member *step"]


@dataclass(frozen=True)
class Loss:
    """A loss of outputs and targets, and its derivative.

    Args:
        by_row: the loss of each row and target.
        derivative: of that, with respect to each output.
        degree: power of the target's unit in the loss. A loss times the target's standard deviation to this
            power is in the target's own units.
    """

    by_row: Callable[[Outputs, Targets], Targets]
    derivative: Callable[[Outputs, Targets], Outputs]
    degree: int

    def in_target_units(self, losses: MemberLosses, transform: TargetTransform) -> Float64[Tensor, " member"]:
        """Converts losses to the target's own units; those of classes and of several targets have none."""
        return losses.double() * transform.unit**self.degree


def huber(losses: Sequence[config.HuberLoss]) -> Loss:
    """½e² up to |e| = δ, and δ(|e| − ½δ) beyond (Huber 1964), with each member's own δ."""
    deltas = _column([loss.delta for loss in losses])

    def by_row(z: Outputs, y: Targets) -> Targets:
        error, delta = z - y, deltas(z.device, z.dtype)
        size = error.abs()
        return torch.where(size <= delta, error.square() / 2, delta * (size - delta / 2))

    def derivative(z: Outputs, y: Targets) -> Outputs:
        delta = deltas(z.device, z.dtype)
        return (z - y).clamp(-delta, delta)

    return Loss(by_row, derivative, degree=2)


def pinball(z: Outputs, y: Targets, level: Float[Tensor, " output"]) -> Outputs:
    """max(τe, (τ − 1)e) of the levels τ, with e = y − z (Koenker & Bassett 1978)."""
    error = y - z
    return torch.maximum(level * error, (level - 1) * error)


def row_errors(
    predicted: Outputs, y: Targets, quantiles: Sequence[float] = ()
) -> Float[Tensor, "member batch"]:
    """The absolute error of each row, or its pinball loss, summed over outputs; or its log loss."""
    if quantiles:
        level = torch.tensor(quantiles, dtype=y.dtype, device=y.device)
        return pinball(predicted, y, level).sum(2)
    if predicted.shape == y.shape:
        return (predicted - y).abs().sum(2)
    smallest = torch.finfo(predicted.dtype).tiny
    return -predicted.gather(2, y.long()).clamp(min=smallest)[..., 0].log()


def quantile(losses: Sequence[config.QuantileLoss]) -> Loss:
    """The mean pinball loss over levels, which are the same for all members."""
    levels = losses[0].levels
    column = cache(torch.tensor(levels, dtype=torch.float64).to)

    def by_row(z: Outputs, y: Targets) -> Targets:
        return pinball(z, y, column(z.device, z.dtype)).mean(-1, keepdim=True)

    def derivative(z: Outputs, y: Targets) -> Outputs:
        return ((y < z).to(z.dtype) - column(z.device, z.dtype)) / len(levels)

    return Loss(by_row, derivative, degree=1)


def cross_entropy(losses: Sequence[config.CrossEntropyLoss]) -> Loss:
    """−Σₖ qₖ log pₖ with p = softmax(z) of the logits z; its derivative with respect to z is p − q.

    q is 1 for a row's class and 0 for all others. With label smoothing ε (Szegedy et al. 2016), each member's
    own, it is (1 − ε)q + ε/K for K classes.
    """
    smoothing = _column([loss.label_smoothing for loss in losses])
    is_smooth = any(loss.label_smoothing for loss in losses)

    def wanted(z: Outputs, y: Targets) -> Outputs:
        q = torch.zeros_like(z).scatter_(2, y.long(), 1)
        if is_smooth:
            epsilon = smoothing(q.device, q.dtype)
            q = (1 - epsilon) * q + epsilon / q.shape[2]
        return q

    def by_row(z: Outputs, y: Targets) -> Targets:
        return -(wanted(z, y) * torch.log_softmax(z, 2)).sum(2, keepdim=True)

    def derivative(z: Outputs, y: Targets) -> Outputs:
        return elementwise(torch.exp, torch.log_softmax(z, 2)) - wanted(z, y)

    return Loss(by_row, derivative, degree=0)


def custom(losses: Sequence[config.CustomLoss]) -> Loss:
    """A class of the user's for each member, which maps outputs and targets to the loss of each.

    Its derivative is `derivative(z, y)`, or by autograd if it has no such method. Its `degree` is 0 if it has
    no such attribute.
    """
    own: list[Any] = [instantiate(loss.class_path, nn.Module, **loss.arguments) for loss in losses]

    def by_row(z: Outputs, y: Targets) -> Targets:
        return torch.stack([loss.to(z.device)(*of) for loss, *of in zip(own, z, y, strict=True)])

    def by_autograd(z: Outputs, y: Targets) -> Outputs:
        with torch.enable_grad():
            z = z.detach().requires_grad_()
            [gradient] = torch.autograd.grad(by_row(z, y).sum(), z)
        return gradient

    def derivative(z: Outputs, y: Targets) -> Outputs:
        return torch.stack([loss.to(z.device).derivative(*of) for loss, *of in zip(own, z, y, strict=True)])

    has_derivative = hasattr(own[0], "derivative")
    return Loss(by_row, derivative if has_derivative else by_autograd, getattr(own[0], "degree", 0))


def check_custom_losses(losses: Sequence[config.Loss], schema: Schema) -> None:
    """Checks losses of the user's own on a few random rows.

    Raises:
        UserError: if the class cannot be used, returns anything but a finite loss of each row and target, or
            its derivative is another than by autograd.
    """
    own = [loss for loss in losses if isinstance(loss, config.CustomLoss)]
    if not own:
        return
    draw, size, where = torch.Generator().manual_seed(0), (len(own), 8), own[0].class_path
    z = torch.randn(*size, schema.outputs, generator=draw, dtype=torch.float64, requires_grad=True)
    y = torch.randn(*size, len(schema.targets), generator=draw, dtype=torch.float64)
    if schema.classes:
        y = torch.randint(schema.outputs, (*size, 1), generator=draw).double()
    loss = build_loss(own)
    values = loss.by_row(z, y)
    if values.shape != y.shape or not values.isfinite().all():
        found, expected = f"the shape {[*values.shape[1:]]}", f"finite values in the shape {[*y.shape[1:]]}"
        remedy = "return the loss of each row and target; of torch's losses: +loss.reduction=none"
        raise UserError(
            Fault("does not return a loss of each row and target", where, found, expected, remedy)
        )
    [gradient] = torch.autograd.grad(values.sum(), z)
    if not torch.allclose(loss.derivative(z.detach(), y), gradient, rtol=1e-4, atol=1e-6):
        raise refusal("has a derivative that is not that of its values", where, "correct or remove it")


def _column(values: Sequence[float]) -> Callable[[torch.device, torch.dtype], Float[Tensor, "member 1 1"]]:
    """The members' values where they are needed. To copy them to a GPU, each step would wait for it."""
    return cache(torch.tensor(values, dtype=torch.float64).reshape(-1, 1, 1).to)


# By their names in the configuration; each function takes the sections of all members.
LOSSES: dict[str, Callable[[Any], Loss]] = {
    "mse": lambda _: Loss(lambda z, y: (z - y).square(), lambda z, y: 2 * (z - y), degree=2),
    "mae": lambda _: Loss(lambda z, y: (z - y).abs(), lambda z, y: (z - y).sign(), degree=1),
    "huber": huber,
    "quantile": quantile,
    "cross_entropy": cross_entropy,
    "custom": custom,
}


def build_loss(losses: Sequence[config.Loss]) -> Loss:
    """The loss of members whose losses have the same name."""
    return LOSSES[losses[0].name](losses)


class Terms(NamedTuple):
    """What the losses of a batch depend on, besides the network's outputs; or of the steps of a block.

    A member's loss is the mean over targets and rows, weighted by the rows' weights; 0 if all are 0.

    Args:
        y: the targets on the scale of the loss.
        weight: of the rows; None: all are 1.
        divisor: the sum of a member's weights, times the number of targets.
    """

    y: Float[Tensor, "member *step batch target"]
    weight: Float[Tensor, "member *step batch 1"] | None
    divisor: Float[Tensor, " member *step"]

    @classmethod
    def of(cls, batch: Batch, transform: TargetTransform) -> "Terms":
        """What the losses of a batch or a block depend on."""
        y = _without_steps(batch.y)
        row_weight = None if batch.row_weight is None else _without_steps(batch.row_weight)
        weight = transform.loss_weight(y, row_weight)
        total = batch.total if weight is row_weight else batch.row_counts()  # the mean weight of classes is 1
        target = transform.transform(y).view(batch.y.shape)
        rows, targets = target.shape[-2:]
        if weight is None:
            return cls(target, None, target.new_full(target.shape[:-2], rows * targets))
        weight = weight.view(*batch.y.shape[:-1], 1).to(target.dtype)
        sums = weight.sum((-2, -1)) if total is None else total.to(weight.dtype)
        return cls(target, weight, sums.clamp(min=torch.finfo(weight.dtype).tiny) * targets)

    def steps(self, chosen: slice) -> "Terms":
        """What the losses of some steps of a block depend on."""
        weight = None if self.weight is None else self.weight[:, chosen]
        return Terms(self.y[:, chosen], weight, self.divisor[:, chosen])

    def losses(self, loss: Loss, z: Float[Tensor, "member *step batch output"]) -> MemberLosses:
        """Σ wl/divisor over a member's rows, with the losses l of each, given the network's outputs."""
        values = loss.by_row(_without_steps(z), _without_steps(self.y)).view(self.y.shape)
        return (values if self.weight is None else values * self.weight).sum((-2, -1)) / self.divisor

    def share(self) -> Float[Tensor, "member *step _ 1"]:
        """w/divisor: the derivative of `losses` is this times that of each row's loss."""
        share = (1 / self.divisor)[..., None, None]
        return share if self.weight is None else share * self.weight


def batch_losses(loss: Loss, z: Outputs, batch: Batch, transform: TargetTransform) -> MemberLosses:
    """Each member's loss on its rows of a batch, given the network's outputs on the scale of the loss."""
    return _Losses.apply(loss, z, Terms.of(batch, transform))


def _without_steps(part: Shaped[Tensor, "member *step batch column"]) -> Shaped[Tensor, "member row column"]:
    return part.reshape(len(part), -1, part.shape[-1])


class _Losses(torch.autograd.Function):
    """`Terms.losses`, with the derivative of the loss."""

    @staticmethod
    def forward(ctx: Any, loss: Loss, z: Outputs, terms: Terms) -> MemberLosses:
        ctx.given = loss, z, terms
        return terms.losses(loss, z)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_losses: MemberLosses) -> tuple[Outputs | None, ...]:
        loss, z, terms = ctx.given
        return None, loss.derivative(z, terms.y) * (grad_losses.view(-1, 1, 1) * terms.share()), None
