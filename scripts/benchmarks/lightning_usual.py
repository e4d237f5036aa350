"""Lightning as tutorials write it: DataLoader, TensorDataset, `self.log`, bar, checkpoints, TensorBoard.

Where habits differ, the faster is taken: validation in one batch, a bar that no terminal shows, no summary.

python -m benchmarks.lightning_usual ROWS FOLDER RUNS EPOCHS BATCH HIDDEN...   (in the folder scripts)
"""

import logging
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch
from lightning.pytorch import LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint, RichProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor
from torch.nn.functional import l1_loss, mse_loss
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.epochs import timed
from benchmarks.plain import network
from benchmarks.rows import Floats, Rows

Batch = tuple[Tensor, Tensor]


class Usual(LightningModule):
    """A regression with mean squared error and Adam."""

    def __init__(self, features: int, hidden: Sequence[int]) -> None:
        super().__init__()
        self.network = network(features, hidden)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The loss, logged."""
        x, y = batch
        loss = mse_loss(self.network(x), y)
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """The metrics, logged."""
        self._log_metrics("val", batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """The metrics, logged."""
        self._log_metrics("test", batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam with its defaults."""
        return torch.optim.Adam(self.parameters(), lr=0.01)

    def _log_metrics(self, part: str, batch: Batch) -> None:
        x, y = batch
        predicted = self.network(x)
        metrics = {f"{part}/loss": mse_loss(predicted, y), f"{part}/mae": l1_loss(predicted, y)}
        self.log_dict(metrics, prog_bar=True)


def train(rows: Rows, hidden: Sequence[int], batch: int, epochs: int, seed: int, folder: str) -> None:
    """Trains one network, and tests its best checkpoint."""

    def loader(x: Floats, y: Floats, batch: int, *, shuffle: bool = False) -> DataLoader[tuple[Tensor, ...]]:
        dataset = TensorDataset(torch.from_numpy(x), torch.from_numpy(y).unsqueeze(1))
        return DataLoader(dataset, batch_size=batch, shuffle=shuffle)

    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    seed_everything(seed, verbose=False)
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = Trainer(
            max_epochs=epochs,
            accelerator="cpu",
            logger=TensorBoardLogger(folder),
            callbacks=[
                RichProgressBar(console_kwargs={"file": nowhere}),
                ModelCheckpoint(monitor="val/loss"),
            ],
            enable_model_summary=False,
        )
        trainer.fit(
            Usual(rows.x_train.shape[1], hidden),
            loader(rows.x_train, rows.y_train, batch, shuffle=True),
            loader(rows.x_val, rows.y_val, len(rows.x_val)),
        )
        test = loader(rows.x_test, rows.y_test, len(rows.x_test))
        trainer.test(dataloaders=test, ckpt_path="best", verbose=False)


def step_seconds(rows: Rows, hidden: Sequence[int], batch: int, epochs: int) -> float:
    """Of a step: the median epoch after the first."""
    with TemporaryDirectory() as folder, timed(Usual) as trained:
        train(rows, hidden, batch, epochs, seed=0, folder=folder)
    return median(epoch.seconds for epoch in trained[1:]) / -(-len(rows.x_train) // batch)


def main() -> None:
    """A sweep over seeds, run after run."""
    path, folder, *numbers = sys.argv[1:]
    runs, epochs, batch, *hidden = map(int, numbers)
    rows = Rows.load(Path(path))
    for seed in range(runs):
        train(rows, hidden, batch, epochs, seed, folder)


if __name__ == "__main__":
    main()
