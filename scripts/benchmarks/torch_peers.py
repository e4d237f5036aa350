"""What plain PyTorch and Lightning do, in processes of their own.

python -m benchmarks.torch_peers CLOCK FUNCTION TASK   (a task is JSON)
"""

import json
import logging
import os
import warnings
from collections.abc import Sequence
from itertools import pairwise
from math import sqrt
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import huber_loss, l1_loss, mse_loss

from benchmarks import child
from benchmarks.peers import (
    DECAY,
    DELTA,
    DROPOUT,
    LR,
    Answer,
    Rows,
    Task,
    drawn_rows,
    search_until,
)


def _network(features: int, hidden: Sequence[int], dropout: float = 0.0) -> nn.Sequential:
    """Affine layers with ReLU between them, and one output."""
    layers: list[nn.Module] = []
    for sizes in pairwise((features, *hidden)):
        layers += [nn.Linear(*sizes), nn.ReLU(), *([nn.Dropout(dropout)] if dropout else [])]
    return nn.Sequential(*layers, nn.Linear(hidden[-1], 1))


def plain_step(task: str) -> Answer:
    """The least that PyTorch needs: a loop without logs, metrics or checkpoints.

    Lightning is not imported here: where it is, optimizers ask NVML for GPUs at each step.
    """
    from mlplab.cpu_settings import cpu_settings_for_training

    of, rows = drawn_rows(task)
    x, y = torch.from_numpy(rows.x_train), torch.from_numpy(rows.y_train).unsqueeze(1)
    net, seconds = _network(of.features, of.hidden), list[float]()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01, fused=True)
    with cpu_settings_for_training(threads=1):
        for _ in range(of.epochs):
            start = child.now()
            for chosen in torch.split(torch.randperm(len(x)), of.batch):
                optimizer.zero_grad(set_to_none=True)
                torch.autograd.backward(mse_loss(net(x[chosen]), y[chosen]))
                optimizer.step()
            seconds.append(child.now() - start)
    return {"seconds": median(seconds[1:]) / of.steps}


def products(task: str) -> Answer:
    """The seconds of the matrix products of a step, at the best rate of several square float32 products.

    A layer's product, its weights' gradient and its input's gradient cost the same; the first layer's input
    needs no gradient.
    """
    of, rates = Task(**json.loads(task)), []
    for size in (128, 256, 512, 1024) * 5:
        left, right, out = torch.rand(size, size), torch.rand(size, size), torch.empty(size, size)
        torch.mm(left, right, out=out)
        times = 2**30 // size**3
        start = child.now()
        for _ in range(times):
            torch.mm(left, right, out=out)
        rates.append(2 * size**3 * times / (child.now() - start))
    layers = [2 * of.batch * rows * columns for rows, columns in pairwise((of.features, *of.hidden, 1))]
    return {"seconds": (3 * sum(layers) - layers[0]) / max(rates)}


def _lightning_module(
    network: nn.Module, lr: float = 0.01, decay: float = 0.0, delta: float | None = None
) -> Any:
    """A regression with Adam (AdamW, if there is a `decay`), and squared or Huber's loss."""
    from lightning.pytorch import LightningModule

    class Usual(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
            x, y = batch
            predicted = self.network(x)
            loss = mse_loss(predicted, y) if delta is None else huber_loss(predicted, y, delta=delta)
            self.log("train/loss", loss, prog_bar=True)
            return loss

        def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
            self._log("val", batch)

        def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
            self._log("test", batch)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            kind = torch.optim.AdamW if decay else torch.optim.Adam
            return kind(self.parameters(), lr=lr, weight_decay=decay)

        def _log(self, part: str, batch: tuple[Tensor, Tensor]) -> None:
            x, y = batch
            predicted = self.network(x)
            metrics = {f"{part}/loss": mse_loss(predicted, y), f"{part}/mae": l1_loss(predicted, y)}
            self.log_dict(metrics, prog_bar=True)

    return Usual()


def _lightning_fit(rows: Rows, batch: int, seed: int, module: Any, **settings: Any) -> Any:
    """Fits with validation in one batch; returns the trainer, and a loader of the test rows."""
    from lightning.pytorch import Trainer, seed_everything
    from torch.utils.data import DataLoader, TensorDataset

    def loader(x: np.ndarray, y: np.ndarray, batch: int, *, shuffle: bool = False) -> DataLoader[Any]:
        dataset = TensorDataset(torch.from_numpy(x), torch.from_numpy(y).unsqueeze(1))
        return DataLoader(dataset, batch_size=batch, shuffle=shuffle)

    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.simplefilter("ignore")
    seed_everything(seed, verbose=False)
    trainer = Trainer(accelerator="cpu", enable_model_summary=False, **settings)
    training = loader(rows.x_train, rows.y_train, batch, shuffle=True)
    trainer.fit(module, training, loader(rows.x_val, rows.y_val, len(rows.x_val)))
    return trainer, loader(rows.x_test, rows.y_test, len(rows.x_test))


def lightning_sweep(task: str) -> Answer:
    """As tutorials write it: DataLoader, bar (which no terminal shows), checkpoints, TensorBoard, test."""
    from lightning.pytorch.callbacks import ModelCheckpoint, RichProgressBar
    from lightning.pytorch.loggers import TensorBoardLogger

    of, rows = drawn_rows(task)
    with TemporaryDirectory() as folder, Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        for seed in range(of.runs):
            habits = [RichProgressBar(console_kwargs={"file": nowhere}), ModelCheckpoint(monitor="val/loss")]
            settings: Answer = {"logger": TensorBoardLogger(folder), "callbacks": habits}
            module = _lightning_module(_network(of.features, of.hidden))
            trainer, test = _lightning_fit(rows, of.batch, seed, module, max_epochs=of.epochs, **settings)
            trainer.test(dataloaders=test, ckpt_path="best", verbose=False)
    return {}


def lightning_step(task: str) -> Answer:
    """The seconds of a step: the median epoch after the first."""
    with child.timed_epochs() as epochs:
        lightning_sweep(task)
    return {"seconds": median(epochs[1:]) / Task(**json.loads(task)).steps}


def lightning_search(task: str, *where: str) -> Answer:
    """Lightning without what costs time and is not needed here: bar, logger, checkpoints, test."""
    from lightning.pytorch import Callback, LightningModule, Trainer

    def errors(of: Task, rows: Rows, trial: Any) -> list[float]:
        rmse: list[float] = []

        class Errors(Callback):
            def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
                rmse.append(sqrt(trainer.callback_metrics["val/loss"]))

        network = _network(rows.x_train.shape[1], of.hidden, trial.suggest_float("dropout", *DROPOUT))
        ranges = {"lr": LR, "decay": DECAY, "delta": DELTA}
        chosen = {name: trial.suggest_float(name, *ends, log=True) for name, ends in ranges.items()}
        off = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        settings = {"max_epochs": of.epochs, "num_sanity_val_steps": 0, "callbacks": [Errors()], **off}
        _lightning_fit(rows, of.batch, of.seed, _lightning_module(network, **chosen), **settings)
        return rmse

    return search_until(errors, task, *where)


if __name__ == "__main__":
    child.main(plain_step, products, lightning_sweep, lightning_step, lightning_search)
