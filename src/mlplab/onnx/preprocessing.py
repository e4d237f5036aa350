"""The first layer of a network: imputes, scales and encodes features."""

import math
from collections.abc import Iterator, Sequence
from functools import singledispatch
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn.functional import one_hot, pad

from mlplab.models.network import Network
from mlplab.models.preprocessing import Preprocessing
from mlplab.models.scaling import Quantile, RobustClip, Scaling, Standard
from mlplab.onnx.graph import Graph, Value
from mlplab.onnx.inputs import Features

ERFINV_CENTRE = (
    *(2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503),
    *(-0.00417768164, 0.246640727, 1.50140941),
)
ERFINV_TAILS = (
    *(-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613),
    *(0.00943887047, 1.00167406, 2.83297682),
)
"""Coefficients of erf⁻¹(x) / x, to the digits of float32: polynomials in w − 2.5 with w = −ln(1 − x²) up to
5, and in √w − 3 beyond (Giles 2010, "Approximating the erfinv function", table 5)."""


class EncodedColumn(NamedTuple):
    """What the codes of a categorical column become; the last code is missing or unknown.

    Args:
        feature: the number of the column among the features.
        is_missing: whether a code counts as missing.
        vectors: a one-hot vector, or an embedding.
        rows: of embeddings, the row of each in the weights; None: the column is one-hot encoded.
    """

    feature: int
    is_missing: Bool[Tensor, "member code 1"]
    vectors: Float[Tensor, "member code column"]
    rows: Int64[Tensor, "member code"] | None


def encoded_columns(preprocessing: Preprocessing) -> Iterator[EncodedColumn]:
    """The categorical columns, as `CategoryEncoder` encodes and `Preprocessing` imputes them."""
    if (encoder := preprocessing.category_encoder) is None:
        return
    firsts, impute_value = encoder.offsets.tolist(), preprocessing.impute_value
    ends, members = [*firsts[1:], encoder.lookup.shape[2]], torch.arange(len(impute_value))[:, None]
    for feature, first, end in zip(encoder.columns.tolist(), firsts, ends, strict=True):
        lookup = encoder.lookup[:, 0, first:end]
        is_missing = pad(lookup < 0, (0, 1), value=True).unsqueeze(2)
        lookup = torch.cat([lookup, lookup.gather(1, impute_value[:, :, feature].long())], 1)
        numbers = torch.where(lookup < 0, ~lookup, lookup)
        if encoder.weight is None or first < encoder.one_hot_width:
            vectors = one_hot(numbers - first, end - first).to(impute_value.dtype)
            yield EncodedColumn(feature, is_missing, vectors, None)
        else:
            rows = numbers - encoder.one_hot_width
            yield EncodedColumn(feature, is_missing, encoder.weight[members, rows], rows)


def preprocess(graph: Graph, features: Features, network: Network) -> tuple[Value, Value | None]:
    """What a network's body sees, `[member, row, column]`, and the output of its linear path, if any."""
    preprocessing, path = network.preprocessing, network.linear_path
    impute_value, members = preprocessing.impute_value, len(preprocessing.impute_value)
    dtype, every = impute_value.numpy().dtype, torch.arange(members)[:, None]
    numeric, indicators = preprocessing.numeric.tolist(), preprocessing.indicators.tolist()
    scaled, imputed, terms = list[Value](), list[Value](), list[Value]()
    flags, binary, embedded = list[Value](), list[Value](), list[Value]()
    flagged = [feature for feature in numeric if feature in indicators]
    if numeric:
        numbers = graph.concat(features.numbers, 1).cast(dtype)
        missing = numbers.op("IsNaN", dtype=np.bool_).unsqueeze(0)
        imputed = [missing.where(impute_value[..., numeric], numbers)]
        scaled = [scale(preprocessing.scaling, imputed[0])]
        if flagged:
            places = np.array([numeric.index(feature) for feature in flagged])
            of_all = missing.gather(places, axis=2).cast(dtype)
            flags = [of_all.op("Expand", np.array([members, 1, 1]))]
    columns = list(encoded_columns(preprocessing))
    codes = dict(zip(sorted(column.feature for column in columns), features.codes, strict=True))
    for column in columns:
        code = codes[column.feature]
        if column.feature in indicators:
            flagged.append(column.feature)
            flags.append(_row_of(column.is_missing.to(impute_value.dtype), code))
        (binary if column.rows is None else embedded).append(_row_of(column.vectors, code))
        if column.rows is not None and path is not None and path.category_weight.shape[1]:
            terms.append(_row_of(path.category_weight[every, column.rows], code))
    if flagged != sorted(flagged):
        flags = [graph.concat(flags, 2).gather(np.argsort(flagged), axis=2)]
    linear = None
    if path is not None:
        unscaled = graph.concat([*imputed, *flags, *binary], 2).cast(np.float64)
        linear = sum(terms, unscaled @ path.weight + path.bias).clamp(path.lowest, path.highest)
    return graph.concat([*scaled, *flags, *binary, *embedded], 2), linear


def _row_of(table: Tensor, code: Value) -> Value:
    """The row of a table `[member, code, column]` for each code: `[member, row, column]`."""
    return code.graph.constant(table).gather(code, axis=1)


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
    """Ranks by binary search: both counts of quantiles, of those below x and of those up to x, bit by bit."""
    quantiles, last, values = scaling.quantiles, scaling.last, x.transpose(0, 2, 1)
    steps = [1 << bit for bit in reversed(range(quantiles.shape[2].bit_length()))]
    padding = 2 * steps[0] - 1 - quantiles.shape[2]
    ascending = x.graph.constant(pad(quantiles, (0, padding), value=torch.inf))

    def at(places: Value) -> Value:
        return ascending.op("GatherElements", places, axis=2)

    def count(comparison: str) -> Value:
        found = (values * 0).cast(np.int64)
        for step in steps:
            farther = at(found + (step - 1)).compare(comparison, values)
            found = found + farther.cast(np.int64) * step
        return found

    below = (count("LessOrEqual") - 1).clamp(0, last)
    above = count("Less").op("Min", last)
    low, high = at(below), at(above)
    fraction = high.compare("Greater", low).where((values - low) / (high - low), 0.5)
    rank = below.cast(x.dtype) + fraction * (above - below).cast(x.dtype)
    return _normal_quantile(rank * 2 / last.to(quantiles.dtype) - 1, Quantile.LIMIT).transpose(0, 2, 1)


def _normal_quantile(x: Value, limit: float) -> Value:
    """√2 erf⁻¹(x), within these limits."""
    farthest = -math.log1p(-(math.erf(limit / math.sqrt(2)) ** 2))
    w = (((x + 1) * (x * -1 + 1)).op("Log") * -1).op("Min", farthest)
    centre, tails = _polynomial(ERFINV_CENTRE, w - 2.5), _polynomial(ERFINV_TAILS, w.op("Sqrt") - 3)
    return x * (w < 5).where(centre, tails) * math.sqrt(2)


def _polynomial(coefficients: Sequence[float], x: Value) -> Value:
    """By Horner's rule; the coefficient of the highest power comes first."""
    value = x * coefficients[0] + coefficients[1]
    for coefficient in coefficients[2:]:
        value = value * x + coefficient
    return value
