"""The time that a step's matrix products alone would take at this machine's best rate."""

from collections.abc import Sequence
from itertools import pairwise
from time import perf_counter

import torch


def step_flop(features: int, hidden: Sequence[int], batch: int) -> int:
    """Multiplications and additions of forward and backward of one network in one step.

    A layer's product, its weights' gradient and its input's gradient cost the same; the first layer's input
    needs no gradient.
    """
    layers = [2 * batch * rows * columns for rows, columns in pairwise((features, *hidden, 1))]
    return 3 * sum(layers) - layers[0]


def matrix_rate() -> float:
    """Operations a second in the fastest of several square float32 products."""
    return max(_rate(size) for size in (128, 256, 512, 1024) for _ in range(5))


def _rate(size: int) -> float:
    left, right, out = torch.rand(size, size), torch.rand(size, size), torch.empty(size, size)
    times = 2**30 // size**3
    torch.mm(left, right, out=out)
    start = perf_counter()
    for _ in range(times):
        torch.mm(left, right, out=out)
    return 2 * size**3 * times / (perf_counter() - start)
