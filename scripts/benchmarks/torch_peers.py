"""What plain PyTorch and Lightning do, in processes of their own."""

import json
import logging
import os
import warnings
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss, mse_loss

from benchmarks import child
from benchmarks.peers import Answer, Rows, Task, drawn_rows


def _network(of: Task) -> nn.Sequential:
    layers = [
        each for sizes in pairwise((of.features, *of.hidden, 1)) for each in (nn.Linear(*sizes), nn.ReLU())
    ]
    return nn.Sequential(*layers[:-1])


def plain_step(task: str) -> Answer:
    """The least that PyTorch needs: a loop without logs, metrics or checkpoints."""
    # Without Lightning: where it is imported, optimizers ask NVML for GPUs at each step.
    from mlplab.cpu_settings import cpu_settings_for_training

    of, train, *_ = drawn_rows(task)
    x, y = torch.from_numpy(train[0]), torch.from_numpy(train[1]).unsqueeze(1)
    net, ends = _network(of), list[float]()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01, fused=True)
    with cpu_settings_for_training(threads=1):
        for _ in range(of.epochs):
            for chosen in torch.split(torch.randperm(len(x)), of.batch):
                optimizer.zero_grad(set_to_none=True)
                torch.autograd.backward(mse_loss(net(x[chosen]), y[chosen]))
                optimizer.step()
            ends.append(child.now())
    return {"seconds": float(np.median(np.diff(ends))) / of.steps}


def products(task: str) -> Answer:
    """The seconds of the matrix products of a step, at the best rate of several square float32 products."""
    of, rates = Task(**json.loads(task)), []
    for size in (128, 256, 512, 1024) * 5:
        left, right, out = torch.rand(size, size), torch.rand(size, size), torch.empty(size, size)
        torch.mm(left, right, out=out)
        times = 2**30 // size**3
        start = child.now()
        for _ in range(times):
            torch.mm(left, right, out=out)
        rates.append(2 * size**3 * times / (child.now() - start))
    # A layer's product and its two gradients cost the same; the first layer's input needs no gradient.
    layers = [2 * of.batch * rows * columns for rows, columns in pairwise((of.features, *of.hidden, 1))]
    return {"seconds": (3 * sum(layers) - layers[0]) / max(rates)}


def lightning_sweep(task: str) -> Answer:
    """As tutorials write it: DataLoader, bar (which no terminal shows), checkpoints, TensorBoard, test."""
    from lightning.pytorch import LightningModule, Trainer, seed_everything
    from lightning.pytorch.callbacks import ModelCheckpoint, RichProgressBar
    from lightning.pytorch.loggers import TensorBoardLogger
    from torch.utils.data import DataLoader, TensorDataset

    class Usual(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.network = _network(of)

        def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
            loss = mse_loss(self.network(batch[0]), batch[1])
            self.log("train/loss", loss, prog_bar=True)
            return loss

        def validation_step(self, batch: list[Tensor], batch_idx: int, part: str = "val") -> None:
            predicted = self.network(batch[0])
            scores = {"loss": mse_loss(predicted, batch[1]), "mae": l1_loss(predicted, batch[1])}
            self.log_dict({f"{part}/{name}": score for name, score in scores.items()}, prog_bar=True)

        def test_step(self, batch: list[Tensor], batch_idx: int) -> None:
            self.validation_step(batch, batch_idx, "test")

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters(), lr=0.01)

    def loader(rows: Rows, batch: int, *, shuffle: bool = False) -> DataLoader[Any]:
        dataset = TensorDataset(torch.from_numpy(rows[0]), torch.from_numpy(rows[1]).unsqueeze(1))
        return DataLoader(dataset, batch_size=batch, shuffle=shuffle)

    of, train, val, test = drawn_rows(task)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.simplefilter("ignore")
    with TemporaryDirectory() as folder, Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        for seed in range(of.runs):
            seed_everything(seed, verbose=False)
            habits = [RichProgressBar(console_kwargs={"file": nowhere}), ModelCheckpoint(monitor="val/loss")]
            more: Answer = {"logger": TensorBoardLogger(folder), "callbacks": habits}
            trainer = Trainer(max_epochs=of.epochs, accelerator="cpu", enable_model_summary=False, **more)
            trainer.fit(Usual(), loader(train, of.batch, shuffle=True), loader(val, len(val[0])))
            trainer.test(dataloaders=loader(test, len(test[0])), ckpt_path="best", verbose=False)
    return {}


def lightning_step(task: str) -> Answer:
    """The seconds of a step: the median epoch after the first."""
    with child.timed_epochs() as epochs:
        lightning_sweep(task)
    return {"seconds": median(epochs[1:]) / Task(**json.loads(task)).steps}
