"""The preprocessing of a network as a graph: from numbers and codes of columns to what its body sees."""

import math
import operator
from collections.abc import Callable, Sequence
from functools import reduce, singledispatch

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn.functional import one_hot, pad

from mlplab.models.category_encoder import CategoryEncoder, append_embeddings
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

Rows = Int64[Tensor, "member code 1"]


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
            table, rows, known = encoded_codes(preprocessing, encoder, feature)
            others.append(code.graph.constant(table).gather(code, axis=1))
            places += np.flatnonzero(sources == feature).tolist()
            if path is not None and rows is not None and path.category_weight.shape[1]:
                weight = path.category_weight[torch.arange(len(rows))[:, None], rows[..., 0]]
                used = known + ~known * path.mode_for_unknown
                terms.append(code.graph.constant(used * weight).gather(code, axis=1))
    if path is not None:
        weight = pad(path.weight, (0, 0, 0, len(sources) - path.weight.shape[1]))[:, places]
        unscaled = concat([*imputed, *others], 2).cast(np.float64)
        linear = sum(terms, unscaled @ weight + path.bias).clamp(path.lowest, path.highest)
    seen = concat([*scaled, *others], 2)
    return seen if places == sorted(places) else seen.gather(np.argsort(places), axis=2), linear


def encoded_codes(
    preprocessing: Preprocessing, encoder: CategoryEncoder, feature: int
) -> tuple[Float[Tensor, "member code column"], Rows | None, Bool[Tensor, "member code 1"]]:
    """What preprocessing makes of the codes of a categorical column, and the rows of its embeddings, if any;
    and whether these stand for the code itself.

    Behind its last code, the column is missing.
    """
    place, mode = encoder.columns.tolist().index(feature), preprocessing.impute_value[..., [feature]]
    count, offset = int(encoder.counts[place]), encoder.offsets[place]
    codes = torch.cat([torch.arange(count).view(1, -1, 1).expand(len(mode), -1, 1), mode.long()], 1)
    unseen, numbers = encoder.replaced(codes + offset)
    unseen[:, -1] = True
    flags = unseen[..., : preprocessing.indicators.tolist().count(feature)].to(mode)
    if encoder.weight is None or place < encoder.one_hot_columns:
        return torch.cat([flags, one_hot((numbers - offset)[..., 0], count).to(mode)], 2), None, ~unseen
    rows = numbers - encoder.one_hot_width
    return append_embeddings(flags, encoder.weight, rows), rows, ~unseen


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
