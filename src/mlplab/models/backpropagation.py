"""Backpropagation through layers, written out: their buffers, and the pass that runs them both ways.

For each layer, with its input a, its weights W and b, and the gradient δ = ∂L/∂z of the loss:

    forward     z = aW + b              the next layer's input is f(z)
    backward    δ = f′(z) · ∂L/∂f(z)    ∂L/∂W = aᵀδ    ∂L/∂b = Σ δ (over the rows)    ∂L/∂a = δWᵀ

Autograd records each small operation and allocates new tensors at each step. Here, a pass overwrites the
tensors of the pass before. Each layer is a module with a `forward` that autograd records, and with an
`operation`: the same formula and its derivative, on buffers.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

# Upper bound on the values that vectorised code of any processor computes at a time.
VECTOR_SIZE = 32

# How a matrix product rounds a row does not depend on the number of rows if that is a multiple of this.
ROW_MULTIPLE = 64

# Rows of all members, and fewest of each, in an evaluation pass, which fit into the processor's cache.
CACHED_ROWS, FEWEST_ROWS = 1024, 256

# Workspaces kept for the next batches: of whole and of last batches, in training and in evaluation.
MAX_FREE = 4

Input = Float[Tensor, "member batch feature"]
Output = Float[Tensor, "member row target"]


class Buffer:
    """The values of one layer for a batch.

    They are padded so that a member gets the same bits alone and anywhere in a stack: each row to a multiple
    of 4 values for matrix products (see `Linear`), and all rows to a multiple of `VECTOR_SIZE` values for
    elementwise functions (see `elementwise`).

    Attributes:
        flat: `[member, value]`, with all padding.
        padded: `[member, batch, unit]`, with the padding of rows. It must be finite, and 0 in δ.
        values: `[member, batch, unit]`, without padding.
        needs_gradient: whether the gradient of the loss at these values is needed.
    """

    def __init__(self, like: Float[Tensor, "member batch _"], width: int) -> None:
        members, rows, _ = like.shape
        self.width, self.needs_gradient = width, True
        stride = width + -width % 4
        size = rows * stride
        self.flat = like.new_zeros(members, size + -size % VECTOR_SIZE)
        self.padded = self.flat[:, :size].view(members, rows, stride)
        self.values = self.padded[..., :width]

    def clear_padding(self) -> None:
        """Sets the padding of rows to 0, since only `values` have been written."""
        if self.padded.shape[2] > self.width:
            self.padded[..., self.width :].zero_()


class Operation(NamedTuple):
    """A layer's part in a pass.

    Args:
        output: the buffer of the result. `backward` may overwrite it and the input, but that of a network's
            last operation finds the gradient in it.
        backward: takes the gradient of the output, and writes those of the layer's parameters; returns the
            gradient of the input if it needs one.
    """

    output: Buffer
    forward: Callable[[], object]
    backward: Callable[[Buffer], Buffer]


class Workspace:
    """The buffers and operations of a network for batches of one shape, and its forward and backward pass.

    Args:
        x: inputs of that shape; whether they require a gradient counts, their values do not.
        build: returns the operations of the forward pass, given this object, which allocates their buffers.
        trained: members whose gradients are written to the `grad` of their parameters; None: the workspace is
            for all members, and `backward` adds to `grad`.

    Attributes:
        operations: each with the `heads` of its input.
        gradients: of `parameters`, as `propagate` writes them.
        steps_left: number of forward passes for which random numbers may be drawn together.
        heads: rows of new buffers for each row of the batch; a layer may change it for those after it.
    """

    def __init__(
        self, x: Input, build: Callable[["Workspace"], Iterator[Operation]], trained: slice | None = None
    ) -> None:
        self._like, self._trained = x.new_empty(*x.shape[:2], 0), trained
        self.members = slice(None) if trained is None else trained
        self.steps_left = self.heads = 1
        self._shared: dict[tuple[int, int], Buffer] = {}
        self._sources: list[tuple[nn.Module, str, Tensor, bool]] = []
        self.gradients: list[Tensor] = []
        self.input = self.new(0)
        self.input.width, self.input.needs_gradient = x.shape[2], x.requires_grad
        self.operations, heads = list[tuple[Operation, int]](), 1
        for operation in build(self):
            self.operations.append((operation, heads))
            heads = self.heads
        self.output = self.operations[-1][0].output

    @property
    def parameters(self) -> list[Tensor]:
        """The parameters of all layers."""
        return [parameter for _, _, parameter, _ in self._sources]

    def new(self, width: int) -> Buffer:
        """A buffer for a layer of this width."""
        return Buffer(self._like.repeat(1, self.heads, 1), width)

    def gradient(self, width: int) -> Buffer:
        """A buffer for the gradient at a layer's input, which all layers of the same width and rows share."""
        key = self.heads, width
        if key not in self._shared:
            self._shared[key] = self.new(width)
        return self._shared[key]

    def parameters_of(self, layer: nn.Module, *names: str) -> list[tuple[Tensor, Tensor]]:
        """Parameters of a layer, each with where a backward pass writes its gradient."""
        taken = list[tuple[Tensor, Tensor]]()
        for name in names:
            parameter = getattr(layer, name)
            self._sources.append((layer, name, parameter, parameter.requires_grad))
            values = parameter if self._trained is None else parameter.detach()[self.members]
            in_place = self._trained is not None and parameter.requires_grad
            gradient = parameter.grad[self.members] if in_place else torch.zeros_like(values)
            self.gradients.append(gradient)
            taken.append((values, gradient))
        return taken

    def is_current(self) -> bool:
        """Whether all parameters are still those of their layers, and the same ones are trained."""
        return all(
            getattr(layer, name) is parameter
            and type(parameter) is nn.Parameter
            and parameter.requires_grad == was_trained
            for layer, name, parameter, was_trained in self._sources
        )

    def forward(self, x: Input, passed: list[Tensor] | None = None) -> Output:
        """Returns the network's output; appends copies of the outputs of all operations to `passed`."""
        self.input.padded = self.input.values = x.detach() if x.requires_grad else x  # without padding
        for operation, _ in self.operations:
            operation.forward()
            if passed is not None:
                passed.append(operation.output.values.clone())
        return self.output.values.clone()

    def propagate(self, passed: list[Tensor] | None = None) -> Buffer:
        """Writes the gradients of the parameters, given that of the network's output in `output`.

        Copies of the gradients at the outputs of all operations are appended to `passed`, the last one first.
        """
        gradient = self.output
        for operation, heads in reversed(self.operations):
            if passed is not None:
                passed.append(gradient.values.clone())
            self.heads = heads  # as where the operation was built
            gradient = operation.backward(gradient)
        return gradient

    def backward(self, gradient: Output) -> Tensor | None:
        """Adds the gradients of the parameters to their `grad`; returns that of `x` if it needs one."""
        self.output.values.copy_(gradient)
        grad_x = self.propagate()
        for parameter, written in zip(self.parameters, self.gradients, strict=True):
            if parameter.requires_grad:
                parameter.grad = written.clone() if parameter.grad is None else parameter.grad.add_(written)
        return grad_x.values.clone() if self.input.needs_gradient else None


class BackpropagationModule(nn.Module, ABC):
    """A network whose backward pass is written out.

    A forward pass takes a free `Workspace`, and its backward pass gives it back: a forward pass in
    between gets another. `x` and the weights must not change in between.

    A backward pass adds to the `grad` of parameters, as `Tensor.backward` does, even if it is called by
    `torch.autograd.grad`. Hooks of the layers are not called.

    Attributes:
        written_out: whether gradients come from here, or from autograd. The networks are the same. Autograd
            is also used where a layer's weights are not its parameters (after pruning, or in
            `torch.func.functional_call`), and in `torch.compile` and `torch.export`.
        with_modes: the layers on whose modes (training or evaluation) the operations depend.
        heads: rows of the output for each row of the input.
    """

    written_out = True
    with_modes: tuple[nn.Module, ...] = ()
    heads = 1

    def __init__(self) -> None:
        super().__init__()
        self._free: dict[Hashable, Workspace] = {}

    def __getstate__(self) -> dict[str, object]:
        """Leaves out the workspaces, which a copy builds again."""
        return {**self.__dict__, "_free": {}}

    @abstractmethod
    def operations(self, workspace: Workspace) -> Iterator[Operation]:
        """The operations of a forward pass in the present mode (training or evaluation)."""

    @abstractmethod
    def forward_by_autograd(self, x: Input) -> Output:
        """The output of a forward pass that autograd records."""

    def forward(self, x: Input) -> Output:
        """Returns the output."""
        if torch.compiler.is_compiling() or not self.written_out:
            return self.forward_by_autograd(x)
        if torch.is_grad_enabled():
            return self._forward_together(x)
        most = max(FEWEST_ROWS, CACHED_ROWS // len(x)) // self.heads
        rows = max(1, most // ROW_MULTIPLE) * ROW_MULTIPLE
        return torch.cat([self._forward_together(block) for block in torch.split(x, rows, 1)], 1)

    def _forward_together(self, x: Input) -> Output:
        if (workspace := self._take(x)) is None:
            return self.forward_by_autograd(x)
        # With one parameter, autograd calls the backward pass; each further one would cost microseconds.
        trained = next((parameter for parameter in workspace.parameters if parameter.requires_grad), None)
        if torch.is_grad_enabled() and (x.requires_grad or trained is not None):
            output: Tensor = _Backpropagation.apply(self, workspace, x, trained)
        else:
            output = workspace.forward(x)
            self.give_back(workspace, x)
        return output

    def _key(self, x: Input) -> Hashable:
        """What workspaces for batches like x have in common, in the present mode."""
        modes = tuple(layer.training for layer in self.with_modes)
        return x.shape, x.dtype, x.device, x.requires_grad, modes

    def _take(self, x: Input) -> Workspace | None:
        """Returns a workspace for this batch; None if a layer's weights are not its parameters."""
        if (workspace := self._free.pop(self._key(x), None)) and workspace.is_current():
            return workspace
        with torch.inference_mode(False):  # whose tensors could not be used outside of it
            workspace = Workspace(x, self.operations)
        return workspace if workspace.is_current() else None

    def give_back(self, workspace: Workspace, x: Input) -> None:
        """Puts a workspace among the free ones, for the next batch like x."""
        self._free[self._key(x)] = workspace
        if len(self._free) > MAX_FREE:
            del self._free[next(iter(self._free))]


class _Backpropagation(torch.autograd.Function):
    """What autograd sees of a network: one operation."""

    @staticmethod
    def forward(
        ctx: Any, network: BackpropagationModule, workspace: Workspace, x: Input, trained: Tensor | None
    ) -> Output:
        ctx.network, ctx.workspace, ctx.like = network, workspace, x
        return workspace.forward(x)

    @staticmethod
    def backward(ctx: Any, gradient: Output) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError("second derivatives need autograd: set written_out = False on the network")
        workspace, ctx.workspace = ctx.workspace, None
        if workspace is None:
            raise RuntimeError("a second backward pass needs a second forward pass, which fills the buffers")
        grad_x = workspace.backward(gradient)
        ctx.network.give_back(workspace, ctx.like)
        return None, None, grad_x, None
