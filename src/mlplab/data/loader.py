"""Batches as whole index slices of tensors that lie in memory."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from mlplab.randomness import generator

EVALUATION_ROWS = 4096
"""Rows of a validation or test batch: enough to be fast, few enough for a wide network's memory."""


class Batch(NamedTuple):
    """Inputs and targets of one step, a row of the batch for each member its own."""

    x: Float[Tensor, "member batch feature"]
    y: Float64[Tensor, "member batch target"]


class Loader:
    """Batches for all members at once, in an order that is a function of each member's seed and the epoch.

    Args:
        x: inputs of the whole table, on the device where batches are wanted or on the CPU.
        y: targets of the whole table, in their own units.
        rows: the row numbers each member sees.
        batch_size: rows of a batch; the last one may be shorter. None puts all rows into one batch.
        seeds: a seed for each member; None keeps the order of `rows`.
    """

    def __init__(
        self,
        x: Float[Tensor, "row feature"],
        y: Float64[Tensor, "row target"],
        rows: Int64[Tensor, "member rows"],
        batch_size: int | None,
        seeds: Sequence[int] | None = None,
    ) -> None:
        self.x, self.y, self.rows, self.seeds = x, y, rows, seeds
        self.batch_size = min(batch_size or rows.shape[1], rows.shape[1])
        self.epoch = 0

    batch_sampler = None  # the Trainer asks for it where there is a sampler

    @property
    def sampler(self) -> "Loader":
        """Itself: the Trainer tells a loader's `sampler` the epoch."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """The epoch whose order the next iteration takes, from 0."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Batches an epoch."""
        return -(-self.rows.shape[1] // self.batch_size)

    def order(self) -> Int64[Tensor, "member rows"]:
        """The row numbers of the current epoch, in the order in which they are met."""
        if self.seeds is None:
            return self.rows
        count = self.rows.shape[1]
        return torch.stack(
            [
                rows[torch.randperm(count, generator=generator(seed, "order", self.epoch))]
                for rows, seed in zip(self.rows, self.seeds, strict=True)
            ]
        )

    def __iter__(self) -> Iterator[Batch]:
        """One epoch."""
        order = self.order().to(self.x.device)
        for rows in torch.split(order, self.batch_size, dim=1):
            yield Batch(self.x[rows], self.y[rows])
