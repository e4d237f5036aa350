"""A network as a graph: its preprocessing, and its body layer by layer, with one head or several.

Values of the body are `[member, head, row, unit]`.
"""

import math
import operator
from collections.abc import Callable, Sequence
from functools import reduce, singledispatch

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.functional import one_hot, pad

from mlplab.errors import refusal
from mlplab.models.embeddings.categories import CategoryEncoder, append_embeddings
from mlplab.models.embeddings.columnwise import ColumnwiseEmbedding, PiecewiseLinear
from mlplab.models.embeddings.periodic import TURN, PeriodicFeatures, PeriodicProjection
from mlplab.models.layers.activation import Activation, ParametricActivation
from mlplab.models.layers.heads import SeparateLinear, SharedLinear
from mlplab.models.layers.linear import Linear
from mlplab.models.layers.scale import InputScale, LayerNorm
from mlplab.models.mlp import MLP, HiddenLayer
from mlplab.models.network import Network
from mlplab.models.preprocessing import Preprocessing, Quantile, RobustClip, Scaling, Standard
from mlplab.onnx.graph import Value, concat

# Coefficients of erf⁻¹(x) / x, to the digits of float32: polynomials in w − 2.5 with w = −ln(1 − x²) up to 5,
# and in √w − 3 beyond (Giles 2010, "Approximating the erfinv function", table 5).
ERFINV_CENTRE = (
    *(2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503),
    *(-0.00417768164, 0.246640727, 1.50140941),
)
ERFINV_TAILS = (
    *(-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613),
    *(0.00943887047, 1.00167406, 2.83297682),
)


def preprocess(
    numbers_of: Sequence[Value], codes_of: Sequence[Value], network: Network
) -> tuple[Value, Value | None]:
    """What a network's body sees, `[member, row, column]`, and the output of its linear path, if any.

    Columns are computed one source after another, and then put in the order of `Preprocessing`.

    Args:
        numbers_of, codes_of: of the columns, as `features_of` returns them.
    """
    preprocessing, path = network.preprocessing, network.linear_path
    impute_value, sources = preprocessing.impute_value, np.array(preprocessing.columns)
    numeric, indicators = preprocessing.numeric.tolist(), preprocessing.indicators.tolist()
    scaled, others, places = list[Value](), list[Value](), list(range(len(numeric)))
    imputed, terms, linear = list[Value](), list[Value](), None
    if numeric:
        numbers = concat(numbers_of, 1).cast(impute_value.numpy().dtype)
        missing = numbers.op("IsNaN", dtype=np.bool_).unsqueeze(0)
        imputed = [missing.where(impute_value[..., numeric], numbers)]
        scaled = [scale(preprocessing.scaling, imputed[0])]
        if flagged := [place for place, feature in enumerate(numeric) if feature in indicators]:
            flags = missing.gather(np.array(flagged), axis=2).cast(numbers.dtype)
            others.append(flags.op("Expand", np.array([len(impute_value), 1, 1])))
            places += [len(numeric) + indicators.index(numeric[place]) for place in flagged]
    if (encoder := preprocessing.category_encoder) is not None:
        for feature, code in zip(sorted(encoder.columns.tolist()), codes_of, strict=True):
            table, rows = encoded_codes(preprocessing, encoder, feature)
            others.append(code.graph.constant(table).gather(code, axis=1))
            places += np.flatnonzero(sources == feature).tolist()
            if path is not None and rows is not None and path.category_weight.shape[1]:
                weight = path.category_weight[torch.arange(len(rows))[:, None], rows[..., 0]]
                terms.append(code.graph.constant(weight).gather(code, axis=1))
    if path is not None:
        weight = pad(path.weight, (0, 0, 0, len(sources) - path.weight.shape[1]))[:, places]
        unscaled = concat([*imputed, *others], 2).cast(np.float64)
        linear = sum(terms, unscaled @ weight + path.bias).clamp(path.lowest, path.highest)
    seen = concat([*scaled, *others], 2)
    return seen if places == sorted(places) else seen.gather(np.argsort(places), axis=2), linear


def encoded_codes(
    preprocessing: Preprocessing, encoder: CategoryEncoder, feature: int
) -> tuple[Float[Tensor, "member code column"], Int64[Tensor, "member code 1"] | None]:
    """What preprocessing makes of the codes of a categorical column, and the rows of its embeddings, if any.

    Behind its last code, the column is missing.
    """
    place, mode = encoder.columns.tolist().index(feature), preprocessing.impute_value[..., [feature]]
    count, offset = int(encoder.counts[place]), encoder.offsets[place]
    codes = torch.cat([torch.arange(count).view(1, -1, 1).expand(len(mode), -1, 1), mode.long()], 1)
    unseen, numbers = encoder.replaced(codes + offset)
    unseen[:, -1] = True
    flags = unseen[..., : preprocessing.indicators.tolist().count(feature)].to(mode)
    if encoder.weight is None or place < encoder.one_hot_columns:
        return torch.cat([flags, one_hot((numbers - offset)[..., 0], count).to(mode)], 2), None
    rows = numbers - encoder.one_hot_width
    return append_embeddings(flags, encoder.weight, rows), rows


@singledispatch
def scale(scaling: Scaling, x: Value) -> Value:
    """The numbers as they are; `Standard`, `RobustClip` and `Quantile` scale them by their formulas."""
    return x


@scale.register
def _(scaling: Standard, x: Value) -> Value:
    return (x - scaling.mean) / scaling.std


@scale.register
def _(scaling: RobustClip, x: Value) -> Value:
    z = ((x - scaling.median) * scaling.scale).clamp(-scaling.FAR, scaling.FAR)
    third = z / 3
    return z / (third * third + 1).op("Sqrt")


@scale.register
def _(scaling: Quantile, x: Value) -> Value:
    """√2 erf⁻¹(p) of ranks p from −1 to 1, within `LIMIT`.

    Ranks are found by binary search: both counts of quantiles, of those below x and of those up to x, bit by
    bit.
    """
    quantiles, last, values = scaling.quantiles, scaling.last, x.op("Transpose", perm=(0, 2, 1))
    steps = [1 << bit for bit in reversed(range(quantiles.shape[2].bit_length()))]
    padding = 2 * steps[0] - 1 - quantiles.shape[2]
    ascending = x.graph.constant(pad(quantiles, (0, padding), value=torch.inf))

    def at(places: Value) -> Value:
        return ascending.op("GatherElements", places, axis=2)

    def counted(is_counted: Callable[[Value, Value], Value]) -> Value:
        found = (values * 0).cast(np.int64)
        for step in steps:
            found = found + is_counted(at(found + (step - 1)), values).cast(np.int64) * step
        return found

    below = (counted(operator.le) - 1).clamp(0, last)
    above = counted(operator.lt).op("Min", last)
    low, high = at(below), at(above)
    fraction = (high > low).where((values - low) / (high - low), 0.5)
    rank = below.cast(x.dtype) + fraction * (above - below).cast(x.dtype)
    p = rank * 2 / last.to(quantiles.dtype) - 1
    farthest = -math.log1p(-(math.erf(Quantile.LIMIT / math.sqrt(2)) ** 2))
    w = (((p + 1) * (p * -1 + 1)).op("Log") * -1).op("Min", farthest)
    centre, tails = _polynomial(ERFINV_CENTRE, w - 2.5), _polynomial(ERFINV_TAILS, w.op("Sqrt") - 3)
    return (p * (w < 5).where(centre, tails) * math.sqrt(2)).op("Transpose", perm=(0, 2, 1))


def _polynomial(coefficients: Sequence[float], x: Value) -> Value:
    """By Horner's rule; the coefficient of the highest power comes first."""
    first, second, *others = coefficients
    return reduce(lambda value, coefficient: value * x + coefficient, others, x * first + second)


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
