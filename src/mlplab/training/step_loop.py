"""Blocks: consecutive optimizer steps in one loop, which the Trainer sees as one training step.

A step of each member, with inputs x, targets y, row weights w and their divisor d:

    forward     z = network(x)                          `models/backpropagation.py`, `linear_path.py`
    loss        L = Σ w · l(z, y) / d                   `losses.py`
                ∂L/∂z = l′(z, y) · w/d
    backward    ∂L/∂W for all weights W                 `models/backpropagation.py`
    update      W from ∂L/∂W, clipped; their average    `optimizers.py`

The Trainer, its hooks and autograd take several times as long as the arithmetic of a small network. Here, a
step has neither; what does not depend on the weights is computed for all steps of a block at once. The result
is the same to the bit.

The same step by autograd is `MLPModule.training_step` in `mlp_module.py`. It trains networks of the
user's own, and all networks with `trainer.block=1`, `trainer.fast_dev_run`, or callbacks that see steps.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from mlplab.data.batches.loader import Batch
from mlplab.models import Dropout, Linear, Network
from mlplab.models.backpropagation import BackpropagationModule, Output, Workspace
from mlplab.models.category_encoder import append_embeddings, embedding_gradient
from mlplab.training.optimization.optimizers import MemberOptimizer, clip_by_member
from mlplab.training.optimization.schedules import StepValues
from mlplab.training.run import Configs
from mlplab.training.scoring.losses import Terms, build_loss
from mlplab.training.scoring.scores import Mean

# Steps that a part of the members makes before the others do, where not all fit into the cache.
TOGETHER = 16

# Bytes that a step of a part should use. With more, a step of a member takes up to a third longer.
CACHE_BYTES = 2**22


class Blocks(NamedTuple):
    """How training and a stack are divided.

    Args:
        steps: of a block; the last one of an epoch may have fewer. Those that span epochs are of
            whole ones.
        parts: of the members. One part makes up to `TOGETHER` steps of a block, then the next one does.
        span_epochs: whether the Trainer sees all epochs as one. Blocks may span epochs then, and validate.
    """

    steps: int
    parts: Sequence[slice]
    span_epochs: bool


def parts_of(network: Network, rows: int) -> list[slice]:
    """Parts of the members that fit into the processor's cache, with batches of that many rows."""
    parameters = list(network.parameters())
    members, weights = len(parameters[0]), sum(parameter[0].numel() for parameter in parameters)
    units = sum(layer.weight.shape[2] for layer in network.modules() if isinstance(layer, Linear))
    # Activations and their gradients; weights, their gradients, two moments and an average.
    step_bytes = parameters[0].itemsize * (2 * rows * network.heads * units + 5 * weights)
    parts = -(-members // max(1, CACHE_BYTES // step_bytes))
    bounds = [members * part // parts for part in range(parts + 1)]
    return [slice(first, end) for first, end in pairwise(bounds)]


def set_dropout_rates(layers: Iterable[Dropout], values: StepValues, members: slice = slice(None)) -> None:
    """Sets the rates of some members to what they are in a step with these values."""
    if values.regularization is not None:
        for layer in layers:
            layer.scale_rates(values.regularization[members], members)


class StepInputs(NamedTuple):
    """What a step takes that does not depend on the weights, for some members.

    Args:
        x: the transformed columns.
        embedded: the rows of embeddings.
        y: the targets on the scale of the loss.
        share: the weights of rows over their divisor.
        linear: what the linear path adds; no columns: nothing.
    """

    x: Float[Tensor, "member batch column"]
    embedded: Int64[Tensor, "member batch embedded"]
    y: Float[Tensor, "member row target"]
    share: Float[Tensor, "member _ 1"]
    linear: Float[Tensor, "member row _"]


class StepLoop:
    """Trains a network block by block.

    Args:
        network: in training mode; its body is a `BackpropagationModule`.
        configs: of each member.
        optimizer: has the parts of the members (see `Blocks`).

    Attributes:
        _inputs: what the steps of the block take, of each part of the members.
        _terms, _rows: what the losses of the block take, and its (weighted) numbers of rows.
        _made: number of its steps that have been made.
        _taken: number of those whose losses `take_losses` has taken.
        _outputs: the network's outputs in the others, for each part.
    """

    def __init__(self, network: Network, configs: Configs, optimizer: MemberOptimizer) -> None:
        assert isinstance(network.body, BackpropagationModule)
        losses = [run.loss for run in configs]
        self.network, self.body, self.loss = network, network.body, build_loss(losses)
        self._derivatives = [build_loss(losses[part]).derivative for part in optimizer.parts]
        encoder = network.preprocessing.category_encoder
        self.embeddings = None if encoder is None else encoder.weight
        self._dropouts = [layer for layer in self.body.with_modes if isinstance(layer, Dropout)]
        self.optimizer, self.parts = optimizer, optimizer.parts
        self._max_norm = configs[0].trainer.gradient_clip_val
        self._workspaces: list[Workspace] = []
        self._gradients: list[list[Tensor]] = []
        self._inputs, self._made, self._taken = list[list[StepInputs]](), 0, 0
        self._outputs: list[list[Output]] = [[] for _ in self.parts]

    def load(self, batch: Batch) -> None:
        """Takes a block, whose steps `advance` makes."""
        _, steps, rows, _ = batch.x.shape
        given = self.network.preprocessing(batch.x.flatten(1, 2))
        x, embedded = (
            torch.unflatten(each, 1, (steps, rows)) for each in (given.columns, given.embedded_rows)
        )
        repeated, transform = batch.repeated(self.network.heads), self.network.preprocessing.target_transform
        self._rows, self._terms = batch.row_counts(), Terms.of(repeated, transform)
        terms = self._terms
        offset, shape = self.network.offset(given), terms.y.shape[:3]
        linear = terms.y.new_empty(*shape, 0) if offset is None else offset.view(*shape, -1)
        if not self._workspaces or not all(workspace.is_current() for workspace in self._workspaces):
            self.optimizer.zero_grad()  # which gives each parameter its gradient
            self._workspaces = [self._workspace(x[part, 0], embedded[part, 0], part) for part in self.parts]
            gradients = [each.grad for each in self.optimizer.parameters if each.grad is not None]
            self._gradients = [[gradient[part] for gradient in gradients] for part in self.parts]
        of_steps = x, embedded, terms.y, terms.share(), linear
        by_part = ([each[part].unbind(1) for each in of_steps] for part in self.parts)
        self._inputs = [[*map(StepInputs, *of_part)] for of_part in by_part]
        self._made = self._taken = 0

    def advance(self, most: int) -> int:
        """Makes the next step of the block; with several parts, up to `TOGETHER` steps, part by part.

        Args:
            most: number of steps that may be made.

        Returns:
            The number of steps made; 0 at the end of the block.
        """
        left = min(most, len(self._inputs[0]) - self._made)
        steps = min(left, 1 if len(self.parts) == 1 else TOGETHER)
        for part, inputs in enumerate(self._inputs):
            for ahead in range(steps):
                # What can be drawn ahead is not left over for a step after that of another part.
                self._workspaces[part].steps_left = left if len(self.parts) == 1 else steps - ahead
                z = self._step(part, inputs[self._made + ahead], self.optimizer.step_values(ahead))
                self._outputs[part].append(z)
        self.optimizer.advance(steps)
        self._made += steps
        return steps

    def _workspace(self, x: Tensor, embedded: Tensor, members: slice) -> Workspace:
        """A workspace for some members, whose input has a gradient if it has embeddings."""
        if self.embeddings is not None:
            x = append_embeddings(x, self.embeddings.detach()[members], embedded).requires_grad_()
        return Workspace(x, self.body.operations, members)

    def _step(self, part: int, inputs: StepInputs, values: StepValues) -> Output:
        (x, embedded, y, share, linear), weight = inputs, self.embeddings
        workspace, members = self._workspaces[part], self.parts[part]
        set_dropout_rates(self._dropouts, values, members)
        if weight is not None:
            x = append_embeddings(x, weight[members], embedded)
        z = workspace.forward(x)
        if linear.shape[2]:
            z.add_(linear)
        torch.mul(self._derivatives[part](z, y), share, out=workspace.output.values)
        grad_x = workspace.propagate()
        if weight is not None and weight.grad is not None:
            embedding_gradient(grad_x.values, embedded, weight.grad[members])
        if self._max_norm is not None:
            clip_by_member(self._gradients[part], self._max_norm)
        self.optimizer.update(part, values)
        return z

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Within this context, the network is in evaluation mode."""
        for layer in self.body.with_modes:  # other layers do the same in both modes
            layer.training = False
        yield
        for layer in self.body.with_modes:
            layer.training = True

    def take_losses(self, losses: Mean) -> None:
        """Adds each member's losses and (weighted) rows of the steps made since the last call."""
        if self._taken == self._made:
            return
        steps, self._taken = slice(self._taken, self._made), self._made
        outputs, self._outputs = self._outputs, [[] for _ in self.parts]
        z = torch.cat([torch.stack(of_part, 1) for of_part in outputs])
        losses.add(self._terms.steps(steps).losses(self.loss, z), self._rows[:, steps])
