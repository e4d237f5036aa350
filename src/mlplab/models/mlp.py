"""The multilayer perceptron."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import nn

from mlplab import config
from mlplab.models.backpropagation import (
    BackpropagationModule,
    Buffer,
    Input,
    Operation,
    Output,
    Workspace,
)
from mlplab.models.embeddings.columnwise import Knots, PiecewiseLinear
from mlplab.models.embeddings.periodic import PeriodicFeatures, PeriodicProjection
from mlplab.models.layers.activation import Activation, ParametricActivation
from mlplab.models.layers.dropout import Dropout
from mlplab.models.layers.heads import SeparateLinear, SharedLinear, signs_or_normal
from mlplab.models.layers.input_scale import InputScale
from mlplab.models.layers.linear import Linear, initialize
from mlplab.models.layers.norm import LayerNorm

Mlp = config.Mlp[config.Resolved]


class MLP(BackpropagationModule):
    """Hidden layers (linear → norm → activation → dropout) and a linear output layer.

    If `hidden` is empty, it is a single affine map. Embeddings of the numeric columns come before; they
    replace these columns, or are put beside them.

    Args:
        sections: of each member; all but `activation` and `dropout` is equal. With `residual`, a hidden
            layer's input is added to its output if both have one width; never for the first layer. With
            `heads`, as many networks share the weights of the hidden layers (see `heads.py`).
        sources: for each input, the number of the column of the table that it comes from.
        numbers: how many of the inputs are numeric; they come first.
        knots: of piecewise-linear embeddings of the numeric columns; None: there are none.

    Attributes:
        embeddings: the layers that embed numeric columns.
        first: the layers before the hidden ones.
    """

    def __init__(
        self,
        sections: Sequence[Mlp],
        seeds: Sequence[int],
        sources: Sequence[int],
        outputs: int,
        numbers: int = 0,
        knots: Knots | None = None,
    ) -> None:
        super().__init__()
        shape = sections[0]
        self.heads = heads = shape.heads
        self.periodic: PeriodicProjection | PeriodicFeatures | None = None
        self.piecewise_linear = None
        sizes, width = (numbers, shape.periodic_features), shape.periodic_projection
        if all(sizes) and width:
            self.periodic = PeriodicProjection(*sizes, width, seeds)
        elif all(sizes):
            self.periodic = PeriodicFeatures(*sizes, seeds)
        if numbers and knots is not None:
            self.piecewise_linear = PiecewiseLinear(knots, shape.piecewise_linear_width, seeds)
        self.embeddings = [each for each in (self.periodic, self.piecewise_linear) if each is not None]
        for embedding in self.embeddings:
            sources = embedding.sources(sources)
        widths = [len(sources), *shape.hidden]
        self.input_scale = InputScale(widths[0], len(seeds)) if shape.input_scale else None
        self.first = [*self.embeddings, *([] if self.input_scale is None else [self.input_scale])]

        def linear(index: int, width: int, next_width: int) -> Linear:
            if heads == 1:
                return Linear(width, next_width, seeds, index)
            r = torch.ones(len(seeds), heads, width)
            if index == 0:
                r = signs_or_normal(sources, heads, seeds, normal=bool(self.embeddings))
            return SharedLinear(width, next_width, seeds, index, r)

        self.hidden: Sequence[HiddenLayer] = nn.ModuleList(  # type: ignore[assignment]  # it is like one
            HiddenLayer(linear(index, width, next_width), sections, seeds, index)
            for index, (width, next_width) in enumerate(pairwise(widths))
        )
        last, index = (widths[-1], outputs, seeds), len(shape.hidden)
        self.output = Linear(*last, index) if heads == 1 else SeparateLinear(*last, index, heads)
        self.with_modes = tuple(layer for layer in self.modules() if isinstance(layer, Dropout))

    def forward_by_autograd(self, x: Input) -> Output:
        """Applies the hidden layers in turn, then the output layer."""
        for layer in (*self.first, *self.hidden):
            x = layer(x)
        return self.output(x)

    @torch.no_grad()
    def initialize(self, x: Input, seeds: Sequence[int]) -> None:
        """Draws the weights of hidden layers so that they suit these rows of each member."""
        for first in self.first:
            x = first(x)
        for index, layer in enumerate(self.hidden):
            initialize(layer.linear, x, seeds, index)
            x = layer(x)

    def operations(self, workspace: Workspace) -> Iterator[Operation]:
        """The operations of the layers, from the input to the output."""
        a = workspace.input
        for first in self.first:
            yield (operation := first.operation(a, workspace))
            a = operation.output
        for layer in self.hidden:
            for operation in layer.operations(a, workspace):
                yield operation
                a = operation.output
        yield self.output.operation(a, workspace)

    def trace(self, x: Input, derivative: Callable[[Output], Output]) -> tuple[Output, list["LayerTrace"]]:
        """A forward and a backward pass in evaluation mode, as `operations` makes them, without heads.

        Args:
            derivative: of the loss with respect to the network's output, given the output.

        Returns:
            The input of the first linear layer, and what passes each linear layer in turn.
        """
        assert not self.training
        workspace, passed, gradients = Workspace(x, self.operations), [x], list[Output]()
        workspace.output.values.copy_(derivative(workspace.forward(x, passed)))
        workspace.propagate(gradients)  # the last one first
        place, layers = len(self.first) + 1, []
        inputs = passed[place - 1]
        for layer in self.hidden:
            linear, place = place, place + 2 + (layer.norm is not None) + layer.residual
            layers.append(LayerTrace(passed[linear], passed[place - 1], gradients[-linear]))
        return inputs, [*layers, LayerTrace(passed[place], passed[place], gradients[-place])]


class LayerTrace(NamedTuple):
    """z = aW + b of a linear layer, what is passed on to the next one, and δ = ∂l/∂z."""

    z: Output
    a: Output
    delta: Output


class HiddenLayer(nn.Module):
    """Linear → norm → activation → dropout, plus the input if `residual`.

    Args:
        sections, index: as in `MLP`, and the position of the layer in it.
    """

    def __init__(self, linear: Linear, sections: Sequence[Mlp], seeds: Sequence[int], index: int) -> None:
        super().__init__()
        shape, (members, inputs, width) = sections[0], linear.weight.shape
        functions, rates = ([getattr(each, name) for each in sections] for name in ("activation", "dropout"))
        self.linear, self.norm = linear, LayerNorm(width, members) if shape.norm == "layer" else None
        is_parametric = shape.parametric_activation
        self.activation = ParametricActivation(functions, width) if is_parametric else Activation(functions)
        self.dropout = Dropout(rates, seeds, index) if any(rates) else None
        self.residual = shape.residual and index > 0 and inputs == width

    def forward(self, x: Input) -> Output:
        """x + dropout(f(norm(xW + b))); without x unless `residual`."""
        a = x
        for layer in self.children():  # in the order of their assignment
            a = layer(a)
        return x + a if self.residual else a

    def operations(self, x: Buffer, workspace: Workspace) -> Iterator[Operation]:
        """The operations of `forward` in the present mode."""
        yield (done := self.linear.operation(x, workspace, skip=self.residual))
        if self.norm is not None:
            yield (done := self.norm.operation(done.output, workspace))
        dropout = self.dropout if self.dropout is not None and self.dropout.training else None
        functions, learned = self.activation.names[workspace.members], ParametricActivation
        is_relu = set(functions) == {"relu"} and not isinstance(self.activation, learned)
        if dropout is not None and is_relu:
            yield (done := dropout.operation_with_relu(done.output, workspace))
        else:
            yield (done := self.activation.operation(done.output, workspace))
            if dropout is not None:
                yield (done := dropout.operation(done.output, workspace))
        if self.residual:
            a, total = done.output.flat, workspace.new(x.width)
            # The gradient reaches x and a; `Linear.operation` adds them.
            yield Operation(total, lambda: torch.add(x.flat, a, out=total.flat), lambda gradient: gradient)
