"""Layers with a member axis: `[member, batch, input]` to `[member, batch, output]`; members never mix."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Float64, UInt8
from torch import Tensor, nn

from mlplab.random_streams import generator

VECTOR_SIZE = 32
"""Upper bound on the values that vectorised code of any processor computes at a time."""


class Linear(nn.Module):
    """An affine map for each member: xW + b.

    Weights and biases are drawn from U(−1/√in, 1/√in), as in `torch.nn.Linear`, with a generator seeded by
    the member's seed.

    Args:
        seeds: one for each member.
        index: position of the layer in the network; layers with different indices draw different weights.

    Attributes:
        has_bias_gradient: False before a batch norm, which removes the bias: its gradient would be rounding
            errors, of which Adam makes steps of full size.
    """

    weight: Float[Tensor, "member input output"]
    bias: Float[Tensor, "member 1 output"]

    def __init__(self, in_features: int, out_features: int, seeds: Sequence[int], index: int = 0) -> None:
        super().__init__()
        bound = in_features**-0.5
        weights = [
            nn.init.uniform_(
                torch.empty(in_features + 1, out_features), -bound, bound, generator(seed, "weights", index)
            )
            for seed in seeds
        ]
        stacked = torch.stack(weights)
        self.weight = nn.Parameter(stacked[:, :-1].clone())
        self.bias = nn.Parameter(stacked[:, -1:].clone())
        self.has_bias_gradient = True

    def forward(self, x: Float[Tensor, "member batch input"]) -> Float[Tensor, "member batch output"]:
        """One `baddbmm`; elementwise for a single input or output, which is faster.

        A member gets the same bits alone and anywhere in a stack. Matrix libraries do not guarantee that: how
        they round depends on a matrix's memory alignment unless its width is a multiple of 4. Other widths
        are padded with zeros. Products of vectors round differently again.
        """
        _, rows, columns = self.weight.shape
        own_bias = self.bias if self.has_bias_gradient else self.bias.detach() + 0 * self.bias
        if columns == 1:
            return (x * self.weight.mT).sum(2, keepdim=True) + own_bias
        if rows == 1:
            return x * self.weight + own_bias
        right, below = -columns % 4, -rows % 4 if x.requires_grad else 0
        if not (right or below):
            return torch.baddbmm(own_bias, x, self.weight)
        weight = nn.functional.pad(self.weight, (0, right, 0, below))
        bias, x = nn.functional.pad(own_bias, (0, right)), nn.functional.pad(x, (0, below))
        return torch.baddbmm(bias, x, weight)[..., :columns]


def elementwise(
    function: Callable[[Tensor], Tensor], x: Float[Tensor, "member batch feature"]
) -> Float[Tensor, "member batch feature"]:
    """Applies an elementwise function so that a member gets the same bits alone and anywhere in a stack.

    Vectorised code computes the last few values of a tensor one at a time, and may round them differently.
    So each member's values are padded to a multiple of `VECTOR_SIZE`.
    """
    size = x[0].numel()
    if size % VECTOR_SIZE == 0:
        return function(x)
    padded = nn.functional.pad(x.flatten(1), (0, -size % VECTOR_SIZE))
    return function(padded)[:, :size].view(x.shape)


class Dropout(nn.Module):
    """Inverted dropout (Srivastava et al. 2014) with a separate rate and separate masks for each member.

    Most of the time goes into random numbers, so each value gets only 8 random bits. Values equal to the
    first 8 bits of the rate are decided by 8 more, which a row shares. So rates are exact to 2⁻¹⁶, but at
    most 0.996. Values in different rows are dropped independently; within a row, the covariance of being
    dropped is at most 2⁻¹⁸.

    Args:
        rates: probability that a value is dropped, one for each member.
        seeds: one for each member, for the generators of the masks.
        index: position of the layer in the network.
    """

    scale: Float[Tensor, "member 1 1"]
    threshold: UInt8[Tensor, "member 1 1"]
    remainder: UInt8[Tensor, "member 1 1"]

    def __init__(self, rates: Sequence[float], seeds: Sequence[int], index: int = 0) -> None:
        super().__init__()
        self.seeds, self.index = list(seeds), index
        dropped = (torch.tensor(rates, dtype=torch.float64) * 2**16).round().clamp(max=255 * 2**8)
        for name, values in (
            ("scale", 1 / (1 - dropped / 2**16)),
            ("threshold", (dropped // 2**8).to(torch.uint8)),
            ("remainder", (dropped % 2**8).to(torch.uint8)),
        ):
            self.register_buffer(name, values.reshape(-1, 1, 1), persistent=False)
        self._generators: list[torch.Generator] = []
        self._bits = torch.empty(len(self.seeds), 0, dtype=torch.int64)

    def forward(self, x: Float[Tensor, "member batch feature"]) -> Float[Tensor, "member batch feature"]:
        """Masks and rescales in training mode; returns the input otherwise."""
        return x * self.draw(torch.empty_like(x)) if self.training else x

    def draw(self, out: Float[Tensor, "member batch feature"]) -> Float[Tensor, "member batch feature"]:
        """Fills `out` with new masks: 0 where a value is dropped, 1/(1 − rate) elsewhere."""
        members, rows, features = out.shape
        values, length = rows * features, -(-rows * (features + 1) // 8)
        if self._bits.shape[1] != length or self._bits.device != out.device:
            with torch.inference_mode(False):
                self._bits = torch.empty(members, length, dtype=torch.int64, device=out.device)
        for bits, source in zip(self._bits, self.generators(out.device), strict=True):
            bits.random_(-(2**63), None, generator=source)
        drawn = self._bits.view(torch.uint8)
        of_values = drawn[:, :values].view(out.shape)
        of_rows = drawn[:, values : values + rows].view(members, rows, 1)
        threshold = (of_rows < self.remainder) + self.threshold
        return torch.ge(of_values, threshold, out=out).mul_(self.scale)

    def generators(self, device: torch.device) -> list[torch.Generator]:
        """The generator of each member, in its current state."""
        if not self._generators or self._generators[0].device != device:
            self._generators = [generator(seed, "dropout", self.index, device) for seed in self.seeds]
        return self._generators


class LayerNorm(nn.Module):
    """Zero mean and unit variance over a row's features, then a scale and a shift (Ba et al. 2016)."""

    def __init__(self, features: int, members: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(members, 1, features))
        self.bias = nn.Parameter(torch.zeros(members, 1, features))

    def forward(self, x: Float[Tensor, "member batch feature"]) -> Float[Tensor, "member batch feature"]:
        """Normalises each row."""
        normed = nn.functional.layer_norm(x, x.shape[-1:], eps=self.eps)
        return torch.addcmul(self.bias, normed, self.weight)


class BatchNorm(nn.Module):
    """Zero mean and unit variance over a member's batch, then a scale and a shift (Ioffe & Szegedy 2015).

    As in `torch.nn.BatchNorm1d`, the running variance is unbiased and `momentum` is the weight of the new
    batch. A member with a single row is normalised by the running statistics.

    With row weights, mean and variance are weighted, and a row of weight 0 is no row. The running variance is
    multiplied by n/(n − 1) with the effective number of rows n = (Σw)²/Σw² (Kish 1965), which does not
    depend on the unit of the weights. So a row of weight 2 counts as two rows in all but this factor.
    """

    running_mean: Float[Tensor, "member 1 feature"]
    running_var: Float[Tensor, "member 1 feature"]

    def __init__(self, features: int, members: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight = nn.Parameter(torch.ones(members, 1, features))
        self.bias = nn.Parameter(torch.zeros(members, 1, features))
        self.register_buffer("running_mean", torch.zeros(members, 1, features))
        self.register_buffer("running_var", torch.ones(members, 1, features))

    def forward(
        self, x: Float[Tensor, "member batch feature"], weight: Float[Tensor, "member batch 1"] | None = None
    ) -> Float[Tensor, "member batch feature"]:
        """Uses the batch statistics in training mode, the running statistics otherwise."""
        mean, var = self.statistics(x, None if weight is None else row_shares(weight))
        return torch.addcmul(self.bias, (x - mean) * (var + self.eps).rsqrt(), self.weight)

    def uses_batch(self, x: Float[Tensor, "member batch feature"]) -> bool:
        """Whether `x` is normalised by its own statistics."""
        return self.training and x.shape[1] > 1

    def statistics(
        self,
        x: Float[Tensor, "member batch feature"],
        shares: Float64[Tensor, "member batch 1"] | None = None,
    ) -> tuple[Float[Tensor, "member 1 feature"], Float[Tensor, "member 1 feature"]]:
        """Mean and variance that `x` is normalised by; updates the running ones in training mode.

        Args:
            shares: `row_shares` of the rows' weights; None: all equal.
        """
        if not self.uses_batch(x):
            return self.running_mean, self.running_var
        if shares is None:
            mean = x.mean(1, keepdim=True)
            var = (x - mean).square().mean(1, keepdim=True)  # `var` rounds differently in a stack
            rows = x.shape[1]
            unbiased = var.detach() * (rows / (rows - 1))
        else:
            of_batch, share = shares.any(1, keepdim=True), shares.to(x.dtype)
            mean = torch.where(of_batch, (share * x).sum(1, keepdim=True), self.running_mean)
            var = (share * (x - mean).square()).sum(1, keepdim=True)
            var = torch.where(of_batch, var, self.running_var)
            rest = 1 - shares.square().sum(1, keepdim=True)  # 1 − 1/n
            unbiased = var.detach() / rest.clamp(min=torch.finfo(rest.dtype).eps).to(x.dtype)
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(unbiased, self.momentum)
        return mean, var


def row_shares(weight: Float[Tensor, "member batch 1"]) -> Float64[Tensor, "member batch 1"]:
    """The share of each row in its member's sum of weights; 0 unless two of these weights are above 0."""
    weight = weight.double()
    several = (weight > 0).sum(1, keepdim=True) > 1
    return torch.where(several, weight / weight.sum(1, keepdim=True), 0)
