"""Periodic features of numeric columns, with learned frequencies."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mlplab.models.layers import elementwise
from mlplab.random_streams import generator

TURN = 2 * math.pi
"""The angle of a whole turn."""


class PeriodicFeatures(nn.Module):
    """Appends √(2/count) · cos(2π(wx + b)) to its input, for each numeric column x.

    The features are random Fourier features (Rahimi & Recht 2007, algorithm 1) whose frequencies w and phases
    b are learned. With such features, a network fits steep or wavy functions of a column much faster
    (Gorishniy et al. 2022, arXiv 2203.05556). The frequencies are drawn from N(0, 0.1²), so that the features
    of standardised columns are smooth at first, and the phases from U(−½, ½).

    Args:
        numbers: how many of the input's columns are numeric; they come first.
        count: number of features of each numeric column.
        seeds: one for each member.
    """

    weight: Float[Tensor, "member number count"]
    bias: Float[Tensor, "member number count"]

    STD = 0.1
    """Standard deviation of the initial frequencies (RealMLP, arXiv 2407.04491)."""

    def __init__(self, numbers: int, count: int, seeds: Sequence[int]) -> None:
        super().__init__()
        self.numbers, self.count, self.scale = numbers, count, math.sqrt(2 / count)
        weights, biases = [], []
        for seed in seeds:
            source = generator(seed, "frequencies")
            weights.append(torch.empty(numbers, count).normal_(0, self.STD, generator=source))
            biases.append(torch.empty(numbers, count).uniform_(-0.5, 0.5, generator=source))
        self.weight, self.bias = nn.Parameter(torch.stack(weights)), nn.Parameter(torch.stack(biases))

    @property
    def features(self) -> int:
        """Number of features that are appended."""
        return self.numbers * self.count

    def forward(self, x: Float[Tensor, "member batch input"]) -> Float[Tensor, "member batch output"]:
        """The input, followed by the features of each numeric column in turn."""
        weight, bias = (parameter.unsqueeze(1) * TURN for parameter in (self.weight, self.bias))
        angles = (x[..., : self.numbers].unsqueeze(3) * weight + bias).flatten(2)
        return torch.cat([x, elementwise(torch.cos, angles) * self.scale], 2)
