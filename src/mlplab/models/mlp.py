"""The multilayer perceptron."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from mlplab.models.backpropagation import dropout as dropout_operations
from mlplab.models.backpropagation import norms, operations
from mlplab.models.backpropagation.activations import ACTIVATIONS
from mlplab.models.backpropagation.buffers import Buffer, Buffers
from mlplab.models.backpropagation.operations import Operation
from mlplab.models.backpropagation.passes import BackpropagationModule, Weight
from mlplab.models.backpropagation.periodic import Periodic
from mlplab.models.layers import BatchNorm, Dropout, LayerNorm, Linear, elementwise
from mlplab.models.periodic_features import PeriodicFeatures

Norm = Literal["none", "layer", "batch"]


class MLP(BackpropagationModule):
    """Hidden layers (linear → norm → activation → dropout) and a linear output layer.

    If `hidden` is empty, it is a single affine map. With `periodic_features`, they are appended to the input.

    Args:
        hidden: widths of the hidden layers.
        activation: name of a function in `torch.nn.functional`.
        dropout: the rate of each member.
        norm: normalisation between a linear layer and its activation.
        residual: whether to add a hidden layer's input to its output if both have the same width; never for
            the first layer.
        seeds: one for each member.
        numbers: how many of the input's columns are numeric; they come first.
        periodic_features: number of periodic features of each of them.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        hidden: Sequence[int],
        activation: str,
        dropout: Sequence[float],
        norm: Norm,
        residual: bool,
        seeds: Sequence[int],
        numbers: int = 0,
        periodic_features: int = 0,
    ) -> None:
        super().__init__()
        self.in_features, self.periodic = in_features, None
        widths = [in_features, *hidden]
        if numbers and periodic_features:
            self.periodic = PeriodicFeatures(numbers, periodic_features, seeds)
            widths[0] += self.periodic.features
        self.hidden = nn.ModuleList(
            HiddenLayer(
                width,
                next_width,
                index=index,
                activation=activation,
                dropout=dropout,
                norm=norm,
                residual=residual and index > 0 and width == next_width,
                seeds=seeds,
            )
            for index, (width, next_width) in enumerate(pairwise(widths))
        )
        self.output = Linear(widths[-1], out_features, seeds, index=len(hidden))
        self.written_out = activation in ACTIVATIONS
        self._with_modes = [each for each in self.modules() if isinstance(each, Dropout | BatchNorm)]

    def forward_by_autograd(
        self, x: Float[Tensor, "member batch feature"], weight: Weight = None
    ) -> Float[Tensor, "member batch target"]:
        """Applies the hidden layers in turn, then the output layer."""
        if self.periodic is not None:
            x = self.periodic(x)
        for layer in self.hidden:
            x = layer(x, weight)
        output: Tensor = self.output(x)
        return output

    def forward_operations(self, buffers: Buffers) -> Iterator[Operation]:
        """Those of the hidden layers in turn, then that of the output layer."""
        a: Buffer = buffers.input
        if self.periodic is not None:
            periodic = Periodic(self.periodic, a, self.in_features, buffers)
            yield periodic
            a = periodic.output
        for layer in self.hidden:
            assert isinstance(layer, HiddenLayer)
            of_layer = layer.forward_operations(a, buffers)
            yield from of_layer
            a = of_layer[-1].output
        yield operations.affine(self.output, a, buffers)

    def modes(self) -> tuple[bool, ...]:
        """Whether each dropout and batch norm is in training mode."""
        return tuple(each.training for each in self._with_modes)


class LinearModel(BackpropagationModule, Linear):
    """A single affine map."""

    def forward_by_autograd(
        self, x: Float[Tensor, "member batch feature"], weight: Weight = None
    ) -> Float[Tensor, "member batch target"]:
        """One product."""
        return Linear.forward(self, x)

    def forward_operations(self, buffers: Buffers) -> Iterator[Operation]:
        """One product."""
        yield operations.affine(self, buffers.input, buffers)


class HiddenLayer(nn.Module):
    """Linear → norm → activation → dropout, plus the input if `residual`."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        index: int,
        activation: str,
        dropout: Sequence[float],
        norm: Norm,
        residual: bool,
        seeds: Sequence[int],
    ) -> None:
        super().__init__()
        self.residual = residual
        self.linear = Linear(in_features, out_features, seeds, index)
        self.norm = _norm(norm, out_features, len(seeds))
        self.linear.has_bias_gradient = not isinstance(self.norm, BatchNorm)
        self.activation = activation
        self.dropout = Dropout(dropout, seeds, index) if any(dropout) else nn.Identity()

    def forward(
        self, x: Float[Tensor, "member batch input"], weight: Weight = None
    ) -> Float[Tensor, "member batch output"]:
        """x + dropout(f(norm(xW + b))); without x unless `residual`."""
        z = self.linear(x)
        z = self.norm(z, weight) if isinstance(self.norm, BatchNorm) else self.norm(z)
        activated: Tensor = self.dropout(elementwise(getattr(nn.functional, self.activation), z))
        return x + activated if self.residual else activated

    def forward_operations(self, x: Buffer, buffers: Buffers) -> list[Operation]:
        """The operations of `forward` in the present mode."""
        done: list[Operation] = [operations.affine(self.linear, x, buffers, skip=self.residual)]
        if isinstance(self.norm, LayerNorm):
            done.append(norms.LayerNorm(self.norm, done[-1].output, buffers))
        elif isinstance(self.norm, BatchNorm):
            done.append(norms.BatchNorm(self.norm, done[-1].output, buffers))
        dropout = self.dropout if isinstance(self.dropout, Dropout) and self.dropout.training else None
        if dropout and self.activation == "relu":
            done.append(dropout_operations.ReluDropout(dropout, done[-1].output, buffers))
        else:
            done.append(operations.Activation(self.activation, done[-1].output, buffers))
            if dropout:
                done.append(dropout_operations.Dropout(dropout, done[-1].output, buffers))
        if self.residual:
            done.append(operations.Residual(x, done[-1].output, buffers))
        return done


def _norm(name: Norm, features: int, members: int) -> nn.Module:
    if name == "layer":
        return LayerNorm(features, members)
    if name == "batch":
        return BatchNorm(features, members)
    return nn.Identity()
