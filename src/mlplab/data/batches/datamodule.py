"""The LightningDataModule: one table, and a split of it for each member."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Int64
from lightning.pytorch import LightningDataModule
from torch import Tensor

from mlplab.config import RandomSplit
from mlplab.data.batches.loader import EVALUATION_BATCH_ROWS, EVALUATION_MULTIPLE, Loader
from mlplab.data.defaults import batch_rows, sizes_for, typical_train_rows
from mlplab.data.infer.block_reader import TableReader
from mlplab.data.infer.infer_table import read_table
from mlplab.data.infer.table_spec import TableSpec
from mlplab.data.io.source import opened
from mlplab.data.splits.make_split import make_split
from mlplab.data.splits.split import PARTS, Split
from mlplab.data.table import Table
from mlplab.errors import refusal


class TableDataModule(LightningDataModule):
    """Batches of a table for K members, each with its own split and seed.

    Args:
        seeds: the seed of each member, for the order of its training rows.
        batch_size: training rows per step and member; None: all training rows.
        fill: whether to pad each member's last batch with rows of weight 0. Otherwise it may be shorter, and
            must have the same length for all members.
        file_block: consecutive rows of a memory-mapped table that stay near each other (see `Loader`).

    Attributes:
        table, splits: as given.
        x: features of all rows: numbers minus their column's offset, codes of categories, NaN where missing.
        position: number of steps to skip in the first epoch.
        steps_of_block: number of training steps in a batch, which then has an axis for them; None: one.
        epochs: those of one iteration over the training rows; None: one, which the Trainer sets.
    """

    def __init__(
        self,
        table: Table,
        splits: Sequence[Split],
        seeds: Sequence[int],
        batch_size: int | None,
        *,
        fill: bool = True,
        file_block: int | None = None,
    ) -> None:
        super().__init__()
        self.table, self.splits = table, list(splits)
        row_weight = None if table.weight is None else torch.from_numpy(table.weight)[:, None]
        self.x, self.y, self.row_weight = torch.from_numpy(table.x), torch.from_numpy(table.y), row_weight
        self.seeds, self.file_block, self.fill = list(seeds), file_block, fill
        parts = [split.parts() for split in splits]
        self.train, self.val, self.test = ([torch.from_numpy(of[part]) for of in parts] for part in PARTS)
        self.mean_weight = None
        if row_weight is not None:
            self.mean_weight = torch.stack([row_weight[rows].double().mean() for rows in self.train])
        self.batch_size = batch_rows(batch_size, max(map(len, self.train)))
        self.position = 0
        self.steps_of_block: int | None = None
        self.epochs: range | None = None

    @classmethod
    def from_file(
        cls,
        path: str | Path,
        target: str,
        *,
        val: float = 0.15,
        test: float = 0.15,
        seed: int = 0,
        batch_size: int | Literal["auto"] = "auto",
    ) -> "TableDataModule":
        """Batches of a CSV or Parquet file for one network, with a random split.

        Args:
            target: the column to predict.
            val, test: fractions of the rows.
            seed: of the split, and of the order of the training rows.
            batch_size: of training rows; `auto`: one that suits the number of rows.

        Raises:
            UserError: if the file cannot be read, the target cannot be predicted, or a set has no row.
        """
        with opened(path) as source:
            table = read_table(TableReader(source, TableSpec(((target, "target"),))))
        section = RandomSplit(name="random", val=val, test=test, seed=seed, stratify="auto")
        split = make_split(section, table)
        suitable, _ = sizes_for(typical_train_rows(section, table, split))
        return cls(table, [split], [seed], suitable if batch_size == "auto" else batch_size)

    @property
    def steps(self) -> int:
        """Training steps per epoch."""
        return -(-max(map(len, self.train)) // self.batch_size)

    def start_at(self, epoch: int, step: int) -> None:
        """Skips the epochs and the steps before."""
        self.position = step
        if self.epochs is not None:
            self.epochs = range(epoch, self.epochs.stop)

    def setup(self, stage: str) -> None:
        """Moves a table in memory to the GPU, if that has twice as much free memory, and leaves it there."""
        device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        if self.file_block is None and device.type == "cuda" and self.x.device != device:
            free, _ = torch.cuda.mem_get_info(device)
            size = sum(part.nbytes for part in (self.x, self.y, self.row_weight) if part is not None)
            if size <= free / 2:
                self.x, self.y = self.x.to(device), self.y.to(device)
                self.row_weight = None if self.row_weight is None else self.row_weight.to(device)

    def train_dataloader(self) -> Loader:
        """Training rows, in each member's own order; the last batch is filled up with rows of weight 0."""
        return Loader(
            self.x,
            self.y,
            self.train,
            self.batch_size,
            self.seeds,
            self.batch_size if self.fill else 1,
            row_weight=self.row_weight,
            mean_weight=self.mean_weight,
            file_block=self.file_block,
            steps=self.steps_of_block,
            epochs=self.epochs,
            position=self.position,
        )

    def val_dataloader(self) -> Loader:
        """Validation rows, in the table's order, and rows of weight 0 up to a multiple of 64."""
        return self._in_order(self.val)

    def test_dataloader(self) -> Loader:
        """Test rows, as `val_dataloader`.

        Raises:
            UserError: if there are none.
        """
        if not len(self.test[0]):
            raise refusal("has no rows", "the test set", "choose a fraction for them: test=0.15")
        return self._in_order(self.test)

    def predict_dataloader(self) -> Loader:
        """All rows of the table, those for training and those without a target included, in its order."""
        return self._in_order([torch.arange(len(self.x))] * len(self.seeds), multiple=1)

    def _in_order(self, rows: Sequence[Int64[Tensor, " _"]], multiple: int = EVALUATION_MULTIPLE) -> Loader:
        size = EVALUATION_BATCH_ROWS
        return Loader(self.x, self.y, rows, size, multiple=multiple, row_weight=self.row_weight)
