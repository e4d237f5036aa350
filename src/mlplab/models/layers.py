"""Member-stacked layers: `[member, batch, input]` to `[member, batch, output]`, members never mixed."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int16
from torch import Tensor, nn

from mlplab.random_streams import generator

AT_A_TIME = 32
"""At least as many values as any processor's code computes at a time."""


class Linear(nn.Module):
    """An affine map for each member: xW + b.

    Weights and biases are drawn from U(−1/√in, 1/√in), the law of `torch.nn.Linear`, each member's from the
    generator of its own seed.

    Args:
        seeds: one for each member.
        index: the layer's place in the network, so that layers of one member differ.
    """

    weight: Float[Tensor, "member input output"]
    bias: Float[Tensor, "member 1 output"]

    def __init__(self, in_features: int, out_features: int, seeds: Sequence[int], index: int = 0) -> None:
        super().__init__()
        bound = in_features**-0.5
        drawn = [
            nn.init.uniform_(
                torch.empty(in_features + 1, out_features), -bound, bound, generator(seed, "weights", index)
            )
            for seed in seeds
        ]
        stacked = torch.stack(drawn)
        self.weight = nn.Parameter(stacked[:, :-1].clone())
        self.bias = nn.Parameter(stacked[:, -1:].clone())

    def forward(self, x: Float[Tensor, "member batch input"]) -> Float[Tensor, "member batch output"]:
        """One `baddbmm`; with a single input or output elementwise, which is faster there.

        A member gets the same bits alone and anywhere in a stack. The libraries' products do not see to that
        by themselves: how they round depends on where in memory a matrix begins, unless its width is a
        multiple of 4; other widths are filled up to one with zeros. A product of vectors goes yet other ways.
        """
        _, rows, columns = self.weight.shape
        if columns == 1:
            return (x * self.weight.mT).sum(2, keepdim=True) + self.bias
        if rows == 1:
            return x * self.weight + self.bias
        right, below = -columns % 4, -rows % 4 if x.requires_grad else 0
        if not (right or below):
            return torch.baddbmm(self.bias, x, self.weight)
        weight = nn.functional.pad(self.weight, (0, right, 0, below))
        bias, x = nn.functional.pad(self.bias, (0, right)), nn.functional.pad(x, (0, below))
        return torch.baddbmm(bias, x, weight)[..., :columns]


def elementwise(
    function: Callable[[Tensor], Tensor], x: Float[Tensor, "member batch feature"]
) -> Float[Tensor, "member batch feature"]:
    """A function of each value, with the same bits for a member alone and anywhere in a stack.

    Values are computed many at a time, and the last few of a tensor one at a time, by other code that may
    round otherwise. So each member's are filled up to a multiple of that many.
    """
    size = x[0].numel()
    if size % AT_A_TIME == 0:
        return function(x)
    filled = nn.functional.pad(x.flatten(1), (0, -size % AT_A_TIME))
    return function(filled)[:, :size].view(x.shape)


class Dropout(nn.Module):
    """Inverted dropout (Srivastava et al. 2014), each member with its own rate and its own masks.

    A mask compares 16 random bits a value with the rate, which is thereby rounded to a multiple of 2⁻¹⁶:
    drawing is most of the cost, and four times as much for a float.

    Args:
        rates: the chance that a value is dropped, one for each member.
        seeds: one for each member; masks come from a generator of each.
        index: the layer's place in the network.
    """

    keep: Float[Tensor, "member 1 1"]
    threshold: Int16[Tensor, "member 1 1"]

    def __init__(self, rates: Sequence[float], seeds: Sequence[int], index: int = 0) -> None:
        super().__init__()
        self.seeds, self.index = list(seeds), index
        dropped = (torch.tensor(rates, dtype=torch.float64) * 2**16).round().clamp(max=2**16 - 1)
        keep = (1 - dropped / 2**16).to(torch.get_default_dtype())
        self.register_buffer("keep", keep.reshape(-1, 1, 1), persistent=False)
        threshold = (dropped - 2**15).to(torch.int16)
        self.register_buffer("threshold", threshold.reshape(-1, 1, 1), persistent=False)
        self._generators: list[torch.Generator] = []

    def forward(self, x: Float[Tensor, "member batch feature"]) -> Float[Tensor, "member batch feature"]:
        """Masks and rescales in training, passes through otherwise."""
        if not self.training:
            return x
        size = x[0].numel()
        words = torch.empty(len(x), -(-size // 4), dtype=torch.int64, device=x.device)
        for row, source in zip(words, self.generators(x.device), strict=True):
            row.random_(-(2**63), None, generator=source)
        drawn = words.view(torch.int16)[:, :size].reshape(x.shape)
        return x * torch.where(drawn >= self.threshold, 1 / self.keep, 0)

    def generators(self, device: torch.device) -> list[torch.Generator]:
        """Of each member, at the point that it has come to."""
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
        """Row by row."""
        normed = nn.functional.layer_norm(x, x.shape[-1:], eps=self.eps)
        return torch.addcmul(self.bias, normed, self.weight)


class BatchNorm(nn.Module):
    """Zero mean and unit variance over a member's batch, then a scale and a shift (Ioffe & Szegedy 2015).

    As `torch.nn.BatchNorm1d`: the running variance is the unbiased one, and momentum weighs the new batch.
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

    def forward(self, x: Float[Tensor, "member batch feature"]) -> Float[Tensor, "member batch feature"]:
        """The batch's own statistics in training, the running ones otherwise."""
        mean, var = self.running_mean, self.running_var
        if self.training and x.shape[1] > 1:
            mean = x.mean(1, keepdim=True)
            var = (x - mean).square().mean(1, keepdim=True)  # `var` rounds otherwise in a stack
            with torch.no_grad():
                rows = x.shape[1]
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(var * (rows / (rows - 1)), self.momentum)
        return torch.addcmul(self.bias, (x - mean) * (var + self.eps).rsqrt(), self.weight)
