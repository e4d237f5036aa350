"""Initial weights that suit the training rows (RealMLP, arXiv 2407.04491, appendix A)."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from mlplab.models.layers.linear import Linear
from mlplab.random_streams import generator

ROWS = 1024
"""Rows from which weights are scaled: a multiple of `ROW_MULTIPLE`, the same for all members."""

ROWS_PER_BIAS = 5
"""Rows of which a bias is a convex combination."""


@torch.no_grad()
def initialize(layer: Linear, a: Float[Tensor, "member row input"], seeds: Sequence[int], index: int) -> None:
    """Sets the weights and biases of a layer with such inputs.

    Weights are divided so that each unit's output has unit variance. A bias is the negative of a random
    convex combination of the unit's outputs for five rows, so that a unit's kink lies among the rows.
    """
    layer.bias.zero_()
    z = layer(a)
    for member, seed in enumerate(seeds):  # one by one: how a sum is rounded could depend on the others
        values = z[member].clone()
        std = values.std(0)
        scale = torch.where(std > 0, 1 / std, 1)
        source = generator(seed, "initial biases", index)
        rows = torch.randint(len(values), (ROWS_PER_BIAS, values.shape[1]), generator=source)
        shares = torch.empty(rows.shape, dtype=z.dtype).exponential_(generator=source)
        centre = (values.gather(0, rows) * scale * shares / shares.sum(0)).sum(0)
        layer.weight[member] *= scale
        layer.bias[member] = -centre
