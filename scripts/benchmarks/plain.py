"""The least that PyTorch needs: a loop without logs, metrics or checkpoints.

It runs in a process of its own: where Lightning is imported, optimizers ask NVML for GPUs at each step.

python -m benchmarks.plain ROWS EPOCHS BATCH HIDDEN...   (in the folder scripts)
"""

import subprocess
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

import torch
from torch import nn

from benchmarks.machine import ROOT
from benchmarks.rows import Rows
from mlplab.training.cpu_settings import cpu_settings_for_training


def network(features: int, hidden: Sequence[int]) -> nn.Sequential:
    """Affine layers with ReLU between them, and one output."""
    widths = (features, *hidden, 1)
    layers = [layer for sizes in pairwise(widths) for layer in (nn.Linear(*sizes), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


def step_seconds(rows: Rows, hidden: Sequence[int], batch: int, epochs: int) -> float:
    """Of a step: the median epoch after the first."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "rows.npz")
        rows.save(path)
        numbers = map(str, (epochs, batch, *hidden))
        command = [sys.executable, "-m", "benchmarks.plain", str(path), *numbers]
        ended = subprocess.run(command, cwd=ROOT / "scripts", capture_output=True, text=True, check=True)
    return float(ended.stdout)


def train(rows: Rows, hidden: Sequence[int], batch: int, epochs: int) -> list[float]:
    """The seconds of each epoch."""
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
    return seconds


def main() -> None:
    """Prints the seconds of a step: those of the median epoch after the first."""
    path, *numbers = sys.argv[1:]
    epochs, batch, *hidden = map(int, numbers)
    rows = Rows.load(Path(path))
    with cpu_settings_for_training(threads=1):
        seconds = train(rows, hidden, batch, epochs)
    print(median(seconds[1:]) / -(-len(rows.x_train) // batch))


if __name__ == "__main__":
    main()
