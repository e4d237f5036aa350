"""Blocks: consecutive optimizer steps of an epoch in one loop, which the Trainer sees as one training step.

A step of each member, with inputs x, targets y, row weights w and their divisor d:

    forward     z = network(x)                          `models/backpropagation.py`
    loss        L = Σ w · l(z, y) / d                   `losses.py`
                ∂L/∂z = l′(z, y) · w/d
    backward    ∂L/∂W for all weights W                 `models/backpropagation.py`
    update      W from ∂L/∂W, clipped; their average    `optimizers.py`

The Trainer, its hooks and autograd take several times as long as the arithmetic of a small network. Here, a
step has neither; what does not depend on the weights is computed for all steps of a block at once. The result
is the same to the bit.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from mlplab import config
from mlplab.data.batches.loader import Batch
from mlplab.models import Linear, Network
from mlplab.models.backpropagation import BackpropagationModule, Workspace
from mlplab.models.preprocessing import append_embeddings, embedding_gradient
from mlplab.training.losses import Divisor, RowWeights, build_loss, loss_terms, mean_losses
from mlplab.training.optimizers import MemberOptimizer, clip_by_member

TOGETHER = 16
"""Steps that a part of the members makes before the others do, where not all fit into the cache."""

CACHE_BYTES = 2**22
"""Bytes that a step of a part should use. With more, a step of a member takes up to a third longer."""


class Blocks(NamedTuple):
    """How an epoch and a stack are divided.

    Args:
        steps: of a block; the last one of an epoch may have fewer.
        parts: of the members. One part makes up to `TOGETHER` steps of a block, then the next one does.
        with_validation: whether the last block of an epoch ends with the validation, which is the Trainer's
            otherwise.
    """

    steps: int
    parts: Sequence[slice]
    with_validation: bool


def parts_of(network: Network, rows: int) -> list[slice]:
    """Parts of the members that fit into the processor's cache, with batches of that many rows."""
    parameters = list(network.parameters())
    members, weights = len(parameters[0]), sum(parameter[0].numel() for parameter in parameters)
    units = sum(layer.weight.shape[2] for layer in network.modules() if isinstance(layer, Linear))
    # Activations and their gradients; weights, their gradients, two moments and an average.
    step_bytes = parameters[0].itemsize * (2 * rows * units + 5 * weights)
    size = max(1, CACHE_BYTES // step_bytes)
    return [slice(first, min(first + size, members)) for first in range(0, members, size)]


class StepLoop:
    """Trains a network block by block.

    Args:
        network: in training mode; its body is a `BackpropagationModule`.
        losses: the section of each member.
        max_norm: of each member's gradient, which is clipped; None: it is not.
        parts: as in `Blocks`.
    """

    def __init__(
        self,
        network: Network,
        losses: Sequence[config.Loss],
        optimizer: MemberOptimizer,
        max_norm: float | None,
        parts: Sequence[slice],
    ) -> None:
        assert isinstance(network.body, BackpropagationModule)
        self.body, self.preprocessing, self.loss = network.body, network.preprocessing, build_loss(losses)
        self._derivatives = [build_loss(losses[part]).derivative for part in parts]
        encoder = network.preprocessing.category_encoder
        self.embeddings = None if encoder is None else encoder.weight
        self.optimizer, self.max_norm, self.parts = optimizer, max_norm, list(parts)
        optimizer.split(self.parts)
        self._workspaces: list[Workspace] = []
        self._outputs: list[list[Float[Tensor, "member batch output"]]] = [[] for _ in parts]
        self._terms: tuple[Tensor, RowWeights, Divisor] = torch.empty(0), None, 0
        self._taken = 0  # steps of the block whose losses were taken
        self._rows: Float64[Tensor, "member step"] = torch.empty(0, 0, dtype=torch.float64)

    def steps(self, block: Batch) -> Iterator[int]:
        """Makes the steps of a block when the next element is asked for: how many have been made."""
        _, steps, rows, _ = block.x.shape
        x, embedded = (
            values.view(len(values), steps, rows, -1)
            for values in self.preprocessing.transform_without_embeddings(block.x.flatten(1, 2))
        )
        self._terms = y, weight, divisor = loss_terms(block, self.preprocessing.target_transform)
        share = (y.new_ones(y.shape[:2]) / divisor)[..., None, None]
        share = share if weight is None else share * weight
        self._taken, self._rows = 0, block.rows()
        if not all(workspace.is_current() for workspace in self._workspaces) or not self._workspaces:
            self.optimizer.zero_grad()  # which gives each parameter its gradient
            self._workspaces = [self._workspace(x[part, 0], embedded[part, 0], part) for part in self.parts]
        by_part = [[values[part].unbind(1) for values in (x, embedded, y, share)] for part in self.parts]
        at_once = 1 if len(self.parts) == 1 else TOGETHER
        for first in range(0, steps, at_once):
            following = range(first, min(first + at_once, steps))
            for part, of_part in enumerate(by_part):
                for step in following:
                    left = (steps if at_once == 1 else following.stop) - step
                    self._step(part, step - first, left, *(values[step] for values in of_part))
            self.optimizer.advance(len(following))
            yield len(following)

    def _workspace(self, x: Tensor, embedded: Tensor, members: slice) -> Workspace:
        """A workspace for some members, whose input has a gradient if it has embeddings."""
        if self.embeddings is not None:
            x = append_embeddings(x, self.embeddings.detach()[members], embedded).requires_grad_()
        return self.body.trainer(x, members)

    def _step(
        self, part: int, ahead: int, steps_left: int, x: Tensor, embedded: Tensor, y: Tensor, share: Tensor
    ) -> None:
        """A step of some members."""
        workspace, weight, members = self._workspaces[part], self.embeddings, self.parts[part]
        workspace.steps_left, gradients = steps_left, workspace.trained_gradients
        if weight is not None:
            x = append_embeddings(x, weight[members], embedded)
        z = workspace.forward(x)
        torch.mul(self._derivatives[part](z, y), share, out=workspace.output.values)
        grad_x = workspace.propagate()
        if weight is not None and weight.grad is not None:
            embedding_gradient(grad_x.values, embedded, weight.grad[members])
            gradients = [weight.grad[members], *gradients]
        if self.max_norm is not None:
            clip_by_member(gradients, self.max_norm)
        self.optimizer.update(part, ahead)
        self._outputs[part].append(z)

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Within this context, the network is in evaluation mode."""
        for layer in self.body.with_modes:
            layer.training = False
        yield
        for layer in self.body.with_modes:
            layer.training = True

    def take_losses(self) -> tuple[Float[Tensor, "member step"], Float64[Tensor, "member step"]] | None:
        """Each member's losses and (weighted) rows of the steps made since the last call; None if none is."""
        outputs, self._outputs = self._outputs, [[] for _ in self.parts]
        if not outputs[0]:
            return None
        made = slice(self._taken, self._taken + len(outputs[0]))
        self._taken = made.stop
        y, weight, divisor = self._terms
        z, y = torch.cat([torch.stack(of_part, 1) for of_part in outputs]), y[:, made]
        values = self.loss.by_row(z.flatten(1, 2), y.flatten(1, 2)).view(y.shape)
        weight = None if weight is None else weight[:, made]
        losses = mean_losses(values, weight, divisor if isinstance(divisor, int) else divisor[:, made])
        return losses, self._rows[:, made]
