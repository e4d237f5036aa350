"""Batches as whole index slices of tensors that lie in memory."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from mlplab.randomness import generator

EVALUATION_ROWS = 4096
"""Rows of a validation or test batch: enough to be fast, few enough for a wide network's memory."""

EVALUATION_MULTIPLE = 64
"""Rows of a validation or test part are filled up to a multiple of this: matrix products of a few rows go
other ways, to other last bits, so that a member's could depend on how many rows another has."""


class Batch(NamedTuple):
    """Inputs and targets of one step, a row of the batch for each member its own.

    `weight` is 1 for a row and 0 for one that only fills the batch up; None where no member has such.
    """

    x: Float[Tensor, "member batch feature"]
    y: Float64[Tensor, "member batch target"]
    weight: Float[Tensor, "member batch 1"] | None = None

    def to(self, device: torch.device) -> "Batch":
        """The batch on another device."""
        weight = None if self.weight is None else self.weight.to(device)
        return Batch(self.x.to(device), self.y.to(device), weight)

    def rows(self) -> Float64[Tensor, " member"]:
        """How many rows each member has in it, without those that fill it up."""
        if self.weight is None:
            return torch.full((len(self.x),), self.x.shape[1], dtype=torch.float64, device=self.x.device)
        return self.weight.sum((1, 2), dtype=torch.float64)


class Loader:
    """Batches for all members at once, in an order that is a function of each member's seed and the epoch.

    Args:
        x: inputs of the whole table, on the device where batches are wanted or on the CPU.
        y: targets of the whole table, in their own units.
        rows: the row numbers each member sees.
        batch_size: rows of a batch.
        seeds: a seed for each member; None keeps the order of `rows`.
        multiple: to which members' rows are filled up, by rows of weight 0. What is left of a multiple of
            `batch_size` makes a last, shorter batch.
    """

    def __init__(
        self,
        x: Float[Tensor, "row feature"],
        y: Float64[Tensor, "row target"],
        rows: Sequence[Int64[Tensor, " _"]],
        batch_size: int,
        seeds: Sequence[int] | None = None,
        multiple: int = 1,
    ) -> None:
        self.x, self.y, self.rows, self.batch_size, self.seeds = x, y, list(rows), batch_size, seeds
        self.length = -(-max(map(len, rows)) // multiple) * multiple
        self.epoch = self.position = 0
        counts = torch.tensor([len(each) for each in rows])
        filled = torch.arange(self.length) >= counts.unsqueeze(1)
        self._weight = (~filled).to(x.dtype).unsqueeze(2)
        self._full = self.length if not filled.any() else int(counts.min())  # rows that all members have

    batch_sampler = None  # the Trainer asks for it where there is a sampler

    @property
    def sampler(self) -> "Loader":
        """Itself: the Trainer tells a loader's `sampler` the epoch."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """The epoch whose order the next iteration takes, from 0."""
        self.epoch = epoch

    def state_dict(self) -> dict[str, int]:
        """Batches that the next iteration leaves out."""
        return {"position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Lets the next iteration begin in the middle of an epoch."""
        self.position = state["position"]

    def __len__(self) -> int:
        """Batches an epoch."""
        return -(-self.length // self.batch_size)

    def order(self) -> Int64[Tensor, "member length"]:
        """The row numbers of the current epoch, in the order in which they are met; the first fills up."""
        order = torch.empty(len(self.rows), self.length, dtype=torch.int64)
        for member, rows in enumerate(self.rows):
            met = rows
            if self.seeds is not None:
                source = generator(self.seeds[member], "order", self.epoch)
                met = rows[torch.randperm(len(rows), generator=source)]
            order[member, : len(rows)] = met
            order[member, len(rows) :] = met[0]
        return order

    def __iter__(self) -> Iterator[Batch]:
        """One epoch, or what is left of it."""
        order = self.order().to(self.x.device)
        first, self.position = self.position * self.batch_size, 0
        for start in range(first, self.length, self.batch_size):
            batch = slice(start, start + self.batch_size)
            rows = order[:, batch]
            full = start + rows.shape[1] <= self._full
            weight = None if full else self._weight[:, batch].to(self.x.device)
            yield Batch(self.x[rows], self.y[rows], weight)
