"""The least that PyTorch needs: a loop without logs, metrics or checkpoints."""

from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from time import perf_counter

import torch
from torch import nn

from benchmarks.rows import Rows


def network(features: int, hidden: Sequence[int]) -> nn.Sequential:
    """Affine layers with ReLU between them, and one output."""
    widths = (features, *hidden, 1)
    layers = [layer for sizes in pairwise(widths) for layer in (nn.Linear(*sizes), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


def step_seconds(rows: Rows, hidden: Sequence[int], batch: int, epochs: int) -> float:
    """Of a step: the median epoch after the first."""
    x, y = torch.from_numpy(rows.x_train), torch.from_numpy(rows.y_train).unsqueeze(1)
    torch.manual_seed(0)
    net, loss = network(x.shape[1], hidden), nn.MSELoss()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01, fused=True)
    seconds: list[float] = []
    for _ in range(epochs):
        start = perf_counter()
        for chosen in torch.split(torch.randperm(len(x)), batch):
            optimizer.zero_grad(set_to_none=True)
            loss(net(x[chosen]), y[chosen]).backward()
            optimizer.step()
        seconds.append(perf_counter() - start)
    return median(seconds[1:]) / -(-len(x) // batch)
