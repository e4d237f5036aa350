"""The body of a network as a graph, layer by layer, with one head or several.

Values of the body are `[member, head, row, unit]`.
"""

from functools import singledispatch

import numpy as np
import torch
from torch import Tensor, nn

from mlplab.errors import refusal
from mlplab.models.embeddings.columnwise import ColumnwiseEmbedding, PiecewiseLinear
from mlplab.models.embeddings.periodic import TURN, PeriodicFeatures, PeriodicProjection
from mlplab.models.layers.activation import Activation, ParametricActivation
from mlplab.models.layers.heads import SeparateLinear, SharedLinear
from mlplab.models.layers.input_scale import InputScale
from mlplab.models.layers.linear import Linear
from mlplab.models.layers.norm import LayerNorm
from mlplab.models.mlp import MLP, HiddenLayer
from mlplab.onnx.graph import Value, concat


@singledispatch
def apply(layer: nn.Module, x: Value) -> Value:
    """A layer's output.

    Raises:
        UserError: if it is of an unknown class.
    """
    what = "is a layer that cannot be exported: its Python code may compute anything"
    raise refusal(what, type(layer).__name__, "use layers of mlplab.models in a torch.nn.Sequential")


@apply.register
def _(layer: nn.Sequential, x: Value) -> Value:
    if type(layer).forward is not nn.Sequential.forward:
        return apply.dispatch(nn.Module)(layer, x)
    for each in layer:
        x = apply(each, x)
    return x


for kind in (nn.ReLU, nn.Sigmoid, nn.SiLU, nn.Tanh):
    apply.register(kind, lambda layer, x: _activated(type(layer).__name__.lower(), x))


@apply.register
def _(layer: MLP, x: Value) -> Value:
    for each in (*layer.first, *layer.hidden, layer.output):
        x = apply(each, x)
    return x


@apply.register
def _(layer: HiddenLayer, x: Value) -> Value:
    a = apply(layer.linear, x)
    a = apply(layer.activation, a if layer.norm is None else apply(layer.norm, a))
    return x + a if layer.residual else a


@apply.register
def _(layer: SharedLinear, x: Value) -> Value:
    r, s, bias = (parameter.unsqueeze(2) for parameter in (layer.r, layer.s, layer.bias))
    return ((x * r) @ layer.weight.unsqueeze(1)) * s + bias


@apply.register
def _(layer: SeparateLinear, x: Value) -> Value:
    return x @ torch.unflatten(layer.weight, 1, (layer.heads, -1)) + layer.bias.unsqueeze(2)


apply.register(Linear, lambda layer, x: x @ layer.weight.unsqueeze(1) + layer.bias.unsqueeze(1))
apply.register(InputScale, lambda layer, x: x * layer.weight.unsqueeze(1))


@apply.register
def _(layer: LayerNorm, x: Value) -> Value:
    ones = np.ones(layer.weight.shape[2], x.dtype)
    normed = x.op("LayerNormalization", ones, axis=-1, epsilon=layer.eps)
    return normed * layer.weight.unsqueeze(1) + layer.bias.unsqueeze(1)


@apply.register
def _(layer: Activation, x: Value) -> Value:
    if len(set(layer.names)) == 1:
        return _activated(layer.names[0], x)
    parts = (_activated(name, x.part(members.start, members.stop, 0)) for name, members in layer.parts())
    return concat([*parts], 0)


def _activated(name: str, z: Value) -> Value:
    """An activation; all but `silu` are operators of ONNX, such as LeakyRelu, with the constants of torch."""
    return z * z.op("Sigmoid") if name == "silu" else z.op(name.title().replace("_", ""))


@apply.register
def _(layer: ParametricActivation, x: Value) -> Value:
    return x + (apply.dispatch(Activation)(layer, x) - x) * layer.weight.unsqueeze(1)


@apply.register
def _(layer: PeriodicFeatures, x: Value) -> Value:
    cosines = _cosines(_by_column(x, layer.numbers), layer.weight, layer.bias) * layer.scale
    return concat([x, _by_row(cosines, len(layer.weight), layer.numbers * layer.width)], 3)


@apply.register
def _(layer: ColumnwiseEmbedding, x: Value) -> Value:
    column, weight = _by_column(x, layer.numbers), torch.unflatten(layer.weight, 1, (layer.numbers, -1))
    if isinstance(layer, PeriodicProjection):
        encoded = _cosines(column, layer.frequency, layer.phase)
    else:
        assert isinstance(layer, PiecewiseLinear)
        slope, intercept, lower, upper = layer.terms()
        encoded = (column * slope + intercept).clamp(lower, upper)
    embedded = encoded @ weight + layer.bias.unsqueeze(2)
    by_row = _by_row(embedded, len(weight), layer.numbers * layer.width)
    return concat([by_row, x.part(layer.kept, np.iinfo(np.int64).max, 3)], 3)


def _cosines(column: Value, frequency: Tensor, phase: Tensor) -> Value:
    return (column * (frequency.unsqueeze(2) * TURN) + phase.unsqueeze(2) * TURN).op("Cos")


def _by_column(x: Value, numbers: int) -> Value:
    """The numbers of rows, `[member, 1, row, number]`, column by column: `[member, number, row, 1]`."""
    return x.part(0, numbers, 3).op("Transpose", perm=(0, 3, 2, 1))


def _by_row(values: Value, members: int, width: int) -> Value:
    """The values of all columns, `[member, number, row, value]`, side by side: `[member, 1, row, width]`."""
    return values.op("Transpose", perm=(0, 2, 1, 3)).op("Reshape", np.array([members, 1, -1, width]))
