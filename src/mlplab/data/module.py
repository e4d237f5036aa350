"""The LightningDataModule: one table, and for each member its own split of it."""

from collections.abc import Sequence

import torch
from lightning.pytorch import LightningDataModule

from mlplab.data.loader import EVALUATION_MULTIPLE, EVALUATION_ROWS, Batch, Loader
from mlplab.data.schema import Schema, Statistics
from mlplab.data.split import Split
from mlplab.data.table import Table

SHARE_OF_FREE_MEMORY = 0.5
"""The table moves to the GPU if it takes at most this share of the memory that is free there."""


class TableDataModule(LightningDataModule):
    """Serves the rows of `table` to K members, each with its own split and seed.

    Args:
        table: the rows.
        schema: its columns' meaning.
        splits: one for each member.
        seeds: one for each member; it orders the training rows.
        batch_size: training rows a step and member; None takes all at once.
        dtype: of the inputs, which are centred before they are rounded to it.
        fill: fills each member's last batch up with rows of weight 0; else it may be shorter, and must be
            equally long for all members.

    Attributes:
        statistics: of each member's training rows.
        position: batches of the first epoch that are left out.
    """

    def __init__(
        self,
        table: Table,
        schema: Schema,
        splits: Sequence[Split],
        seeds: Sequence[int],
        batch_size: int | None,
        dtype: torch.dtype = torch.float32,
        *,
        fill: bool = True,
    ) -> None:
        super().__init__()
        self.seeds, self.fill = list(seeds), fill
        x, y = schema.centred(table)
        self.statistics = Statistics.of(x, y, [split.train for split in splits])
        self.x, self.y = torch.from_numpy(x).to(dtype), torch.from_numpy(y)
        self.train, self.val, self.test = (
            [torch.from_numpy(getattr(split, part)) for split in splits] for part in ("train", "val", "test")
        )
        self.batch_size = batch_rows(batch_size, len(self.train[0]))
        self.position = 0

    def setup(self, stage: str) -> None:
        """Moves the table to the training device, once, if it fits there."""
        device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        if device.type == "cuda" and self.x.device != device:
            free, _ = torch.cuda.mem_get_info(device)
            if self.x.nbytes + self.y.nbytes <= SHARE_OF_FREE_MEMORY * free:
                self.x, self.y = self.x.to(device), self.y.to(device)

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Nothing to do where the table lies on the device."""
        return batch if batch.x.device == device else batch.to(device)

    def train_dataloader(self) -> Loader:
        """Training rows, in each member's own order."""
        multiple = self.batch_size if self.fill else 1
        loader = Loader(self.x, self.y, self.train, self.batch_size, self.seeds, multiple)
        loader.load_state_dict({"position": self.position})
        return loader

    def val_dataloader(self) -> Loader:
        """Validation rows, in the table's order."""
        return Loader(self.x, self.y, self.val, EVALUATION_ROWS, multiple=EVALUATION_MULTIPLE)

    def test_dataloader(self) -> Loader:
        """Test rows, in the table's order."""
        return Loader(self.x, self.y, self.test, EVALUATION_ROWS, multiple=EVALUATION_MULTIPLE)


def batch_rows(batch_size: int | None, rows: int) -> int:
    """Rows of a training step: never more than there are."""
    return min(batch_size or rows, rows)
