"""One autograd function for a whole network, whose forward and backward pass are lists of operations."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mlplab.models.backpropagation.buffers import Buffers
from mlplab.models.backpropagation.operations import Operation

ROWS, FEWEST_ROWS = 1024, 256
"""Rows of all members, and fewest of each, in an evaluation pass: enough to be fast, few enough to stay in
the processor's cache. How a row is rounded does not depend on their number if that is a multiple of 64 (see
`mlplab.data.loader`)."""

MAX_FREE = 4
"""Passes kept for the next batches: of whole and of last batches, in training and in evaluation."""

Input = Float[Tensor, "member batch feature"]
Output = Float[Tensor, "member batch target"]
Weight = Float[Tensor, "member batch 1"] | None


class Pass:
    """The forward and the backward pass of a network, for batches of one shape.

    Args:
        x: such a batch.
        key: of the shape.
        build: returns the operations of the forward pass, given the buffers.
    """

    def __init__(self, x: Input, key: Hashable, build: Callable[[Buffers], Iterator[Operation]]) -> None:
        self.key, self.buffers = key, Buffers(x)
        self.operations = list(build(self.buffers))
        self.parameters = list(
            dict.fromkeys(each for operation in self.operations for each in operation.parameters)
        )
        self._sources = [
            (operation.module._parameters, name, parameter)
            for operation in self.operations
            if operation.module is not None
            for name, parameter in zip(("weight", "bias"), operation.parameters, strict=True)
        ]
        self._output = self.operations[-1].output
        self._inputs: list[Tensor] = []

    def is_current(self) -> bool:
        """Whether all parameters are still those of their layers."""
        return all(parameters.get(name) is parameter for parameters, name, parameter in self._sources)

    def forward(self, x: Input, weight: Weight = None) -> Output:
        """Returns the network's output."""
        self.buffers.input.set(x.detach() if x.requires_grad else x)
        self.buffers.set_weight(weight)
        for operation in self.operations:
            operation.forward()
        return self._output.values.clone()

    def choose_inputs(self) -> list[Tensor]:
        """Returns the parameters that autograd must know of.

        These are the ones without a `grad`. If all have one, a single parameter makes autograd call the
        backward pass; each further one would cost it several microseconds a step.
        """
        trained = [each for each in self.parameters if each.requires_grad]
        self._inputs = [each for each in trained if each.grad is None] or trained[:1]
        return self._inputs

    def backward(self, gradient: Output) -> tuple[Tensor | None, ...]:
        """Returns the gradient of `x`, if it needs one, and of those chosen inputs that have no `grad`.

        The gradients of all other parameters are added to their `grad`.
        """
        returned = {id(each): torch.zeros_like(each) for each in self._inputs if each.grad is None}
        self._output.values.copy_(gradient)
        current = self._output
        for operation in reversed(self.operations):
            into = [
                each.grad
                if each.grad is not None and each.requires_grad
                else self._without_grad(each, returned)
                for each in operation.parameters
            ]
            current = operation.backward(current, *into)
        of_x = current.values.clone() if self.buffers.input.needs_gradient else None
        return of_x, *(returned.get(id(each)) for each in self._inputs)

    def _without_grad(self, parameter: Tensor, returned: dict[int, Tensor]) -> Tensor:
        if id(parameter) in returned:
            return returned[id(parameter)]
        zeros = torch.zeros_like(parameter)
        if parameter.requires_grad:  # its `grad` was dropped after the forward pass
            parameter.grad = zeros
        return zeros


class BackpropagationModule(nn.Module, ABC):
    """A network whose backward pass is written out.

    A forward pass takes a free `Pass`, and its backward pass gives it back. So its buffers are its own until
    then, even if another forward pass comes in between. `x` and the weights must not change in between.

    A backward pass adds the gradients of parameters that have a `grad` to it, as `Tensor.backward` does, even
    if it is called by `torch.autograd.grad`. Hooks of the layers are not called.

    Attributes:
        written_out: whether gradients come from here, or from autograd. The networks are the same. Autograd
            is also used where a layer's weights are not its parameters (after pruning, or in
            `torch.func.functional_call`), and in `torch.compile` and `torch.export`.
    """

    written_out = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._free: dict[Hashable, Pass] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Leaves out the passes, which a copy builds again."""
        return {**self.__dict__, "_free": {}}

    @abstractmethod
    def forward_operations(self, buffers: Buffers) -> Iterator[Operation]:
        """The operations of a forward pass in the present mode (training or evaluation)."""

    @abstractmethod
    def forward_by_autograd(self, x: Input, weight: Weight = None) -> Output:
        """The same forward pass, recorded by autograd."""

    def modes(self) -> tuple[bool, ...]:
        """The modes of the layers on which the operations depend."""
        return ()

    def forward(self, x: Input, weight: Weight = None) -> Output:
        """Returns the network's output.

        Args:
            weight: of each row, for the statistics of a batch norm in training mode; None: all equal.
        """
        if torch.compiler.is_compiling() or not self.written_out:
            return self.forward_by_autograd(x, weight)
        if torch.is_grad_enabled():
            used = self._take(x)
            if used is None:
                return self.forward_by_autograd(x, weight)
            output: Tensor = _Backpropagation.apply(used, self._give, weight, x, *used.choose_inputs())
            return output
        if any(self.modes()):  # a batch norm needs the whole batch
            return self._without_gradients(x, weight)
        rows = max(FEWEST_ROWS, ROWS // len(x) // 64 * 64)
        return torch.cat([self._without_gradients(each) for each in torch.split(x, rows, 1)], 1)

    def _without_gradients(self, x: Input, weight: Weight = None) -> Output:
        used = self._take(x)
        if used is None:
            return self.forward_by_autograd(x, weight)
        output = used.forward(x, weight)
        self._give(used)
        return output

    def _take(self, x: Input) -> Pass | None:
        """Returns a pass for this batch; None if a layer's weights are not its parameters."""
        key = x.shape, x.dtype, x.device, x.requires_grad, self.modes()
        used = self._free.pop(key, None)
        if used is None or not used.is_current():
            with torch.inference_mode(False):  # whose tensors could not be used outside of it
                used = Pass(x, key, self.forward_operations)
            if not (used.is_current() and all(isinstance(each, nn.Parameter) for each in used.parameters)):
                return None
        return used

    def _give(self, used: Pass) -> None:
        self._free[used.key] = used
        if len(self._free) > MAX_FREE:
            del self._free[next(iter(self._free))]


class _Backpropagation(torch.autograd.Function):
    """What autograd sees of a network: one operation."""

    @staticmethod
    def forward(
        ctx: Any,
        used: Pass,
        give: Callable[[Pass], None],
        weight: Weight,
        x: Input,
        *parameters: Tensor,
    ) -> Output:
        ctx.used, ctx.give = used, give
        return used.forward(x, weight)

    @staticmethod
    def backward(ctx: Any, gradient: Output) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError("second derivatives need autograd: set written_out = False on the network")
        used, ctx.used = ctx.used, None
        if used is None:
            raise RuntimeError(
                "a second backward pass needs a second forward pass: its buffers may have been reused"
            )
        gradients = used.backward(gradient)
        ctx.give(used)
        return None, None, None, *gradients
