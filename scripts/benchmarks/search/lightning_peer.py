"""Lightning as tutorials write it, without what costs time and is not needed here: bar, logger, checkpoints.

python -m benchmarks.search.lightning_peer TASK   (in the folder scripts)
"""

import logging
import warnings
from collections.abc import Callable
from itertools import pairwise
from math import sqrt

import optuna
import torch
from lightning.pytorch import LightningModule, Trainer, seed_everything
from torch import Tensor, nn
from torch.nn.functional import huber_loss, mse_loss
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.rows import Floats, Rows
from benchmarks.search.command import BATCH_SIZE, DECAY, DELTA, DROPOUT, HIDDEN, LR
from benchmarks.search.peer import Task, search

Batch = tuple[Tensor, Tensor]


class Tuned(LightningModule):
    """A regression with Huber's loss, dropout and AdamW."""

    def __init__(self, features: int, trial: optuna.Trial, report: Callable[[float], None]) -> None:
        super().__init__()
        self.lr = trial.suggest_float("lr", *LR, log=True)
        self.decay = trial.suggest_float("weight_decay", *DECAY, log=True)
        self.delta = trial.suggest_float("delta", *DELTA, log=True)
        dropout = trial.suggest_float("dropout", *DROPOUT)
        widths = (features, *HIDDEN)
        layers = [(nn.Linear(*sizes), nn.ReLU(), nn.Dropout(dropout)) for sizes in pairwise(widths)]
        self.network = nn.Sequential(*(each for layer in layers for each in layer), nn.Linear(widths[-1], 1))
        self.report = report

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The loss, logged."""
        x, y = batch
        loss = huber_loss(self.network(x), y, delta=self.delta)
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """The squared error, logged."""
        x, y = batch
        self.log("val/mse", mse_loss(self.network(x), y))

    def on_validation_epoch_end(self) -> None:
        """Passes on the error of the epoch."""
        self.report(sqrt(self.trainer.callback_metrics["val/mse"]))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW with its defaults."""
        return torch.optim.AdamW(self.parameters(), lr=self.lr, weight_decay=self.decay)


def train(task: Task, rows: Rows, trial: optuna.Trial, report: Callable[[float], None]) -> None:
    """With validation in one batch, after each epoch."""

    def loader(x: Floats, y: Floats, batch: int, *, shuffle: bool = False) -> DataLoader[tuple[Tensor, ...]]:
        dataset = TensorDataset(torch.from_numpy(x), torch.from_numpy(y).unsqueeze(1))
        return DataLoader(dataset, batch_size=batch, shuffle=shuffle)

    seed_everything(task.seed, verbose=False)
    trainer = Trainer(
        max_epochs=task.epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(
        Tuned(rows.x_train.shape[1], trial, report),
        loader(rows.x_train, rows.y_train, BATCH_SIZE, shuffle=True),
        loader(rows.x_val, rows.y_val, len(rows.x_val)),
    )


if __name__ == "__main__":
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.simplefilter("ignore")
    search(train)
