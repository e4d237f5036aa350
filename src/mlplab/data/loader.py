"""Batches: whole index slices of tables in memory; of tables in a mapped file, window by window."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from mlplab.random_streams import generator

EVALUATION_ROWS = 4096
"""Rows of a validation or test batch: enough to be fast, few enough for a wide network's memory."""

EVALUATION_MULTIPLE = 64
"""Rows of a validation or test part are filled up to a multiple of this: matrix products of a few rows go
other ways, to other last bits, so that a member's could depend on how many rows another has."""

WINDOW = 64
"""Blocks whose rows lie in memory, and are shuffled, together."""


class Batch(NamedTuple):
    """Inputs and targets of one step, a row of the batch for each member its own.

    `weight` is what a row counts, 0 for one that only fills the batch up; None where all count 1. `total` is
    what a member's weights sum up to in a batch of so many rows on average; None where it is their own sum
    that counts. Divided by their own, rows would weigh against those of their batch only.
    """

    x: Float[Tensor, "member batch feature"]
    y: Float64[Tensor, "member batch target"]
    weight: Float[Tensor, "member batch 1"] | None = None
    total: Float64[Tensor, " member"] | None = None

    def to(self, device: torch.device) -> "Batch":
        """The batch on another device."""
        weight, total = (None if each is None else each.to(device) for each in (self.weight, self.total))
        return Batch(self.x.to(device), self.y.to(device), weight, total)

    def rows(self) -> Float64[Tensor, " member"]:
        """How many rows each member has in it, each counted by its weight."""
        if self.total is not None:
            return self.total
        if self.weight is None:
            return torch.full((len(self.x),), self.x.shape[1], dtype=torch.float64, device=self.x.device)
        return self.weight.sum((1, 2), dtype=torch.float64)


class Loader:
    """Batches for all members at once, in an order that is a function of each member's seed and the epoch.

    A table in a mapped file is not read row by row all over it, which disks are slow at: a member's rows are
    cut into blocks of neighbours, the blocks shuffled, and `WINDOW` of them at a time read and shuffled.

    Args:
        x: inputs of the whole table, on the device where batches are wanted or on the CPU.
        y: targets of the whole table, in their own units.
        rows: the row numbers each member sees.
        batch_size: rows of a batch.
        seeds: a seed for each member; None keeps the order of `rows`.
        multiple: to which members' rows are filled up, by rows of weight 0. What is left of a multiple of
            `batch_size` makes a last, shorter batch.
        weight: what each row of the table counts; None: all the same.
        mean_weight: of each member's rows, for batches whose weights are taken to be so on average.
        block: rows of a block of a table in a mapped file; None: the table lies in memory.
    """

    def __init__(
        self,
        x: Float[Tensor, "row feature"],
        y: Float64[Tensor, "row target"],
        rows: Sequence[Int64[Tensor, " _"]],
        batch_size: int,
        seeds: Sequence[int] | None = None,
        multiple: int = 1,
        *,
        weight: Float[Tensor, "row 1"] | None = None,
        mean_weight: Float64[Tensor, " member"] | None = None,
        block: int | None = None,
    ) -> None:
        self.x, self.y, self.rows, self.batch_size, self.seeds = x, y, list(rows), batch_size, seeds
        self.weight, self.mean_weight, self.block = weight, mean_weight, block
        self.counts = torch.tensor([len(each) for each in rows])
        self.length = -(-int(self.counts.max()) // multiple) * multiple
        self.epoch = self.position = 0
        self._full = int(self.counts.min())  # rows that all members have
        self._tables = (x, y) if weight is None else (x, y, weight)

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
        for member, own in enumerate(order):
            torch.cat([rows[met] for rows, met in self._windows(member)], out=own)
        return order

    def __iter__(self) -> Iterator[Batch]:
        """One epoch, or what is left of it."""
        first, self.position = self.position * self.batch_size, 0
        batches = self._from_memory(first) if self.block is None else self._from_file(first)
        for start in range(first, self.length, self.batch_size):
            x, y, *own = next(batches)
            weight = own[0] if own else None
            if start + x.shape[1] > self._full:
                numbers = torch.arange(start, start + x.shape[1])
                is_row = (numbers < self.counts.unsqueeze(1)).unsqueeze(2).to(x.device)
                weight = is_row.to(x.dtype) if weight is None else weight * is_row
            total = None
            if self.mean_weight is not None:
                rows = (self.counts - start).clamp(0, x.shape[1])
                total = (rows * self.mean_weight).to(x.device)
            yield Batch(x, y, weight, total)

    def _windows(self, member: int) -> Iterator[tuple[Int64[Tensor, " row"], Int64[Tensor, " row"]]]:
        """The row numbers of a member's epoch, window by window: as they are read, and the order then met."""
        rows, shuffled = self.rows[member], torch.arange
        if self.seeds is not None:
            source = generator(self.seeds[member], "order", self.epoch)
            shuffled = partial(torch.randperm, generator=source)
        windows: Iterable[Tensor] = [rows]
        if self.block is not None:
            blocks = torch.split(rows, self.block)
            windows = (
                torch.cat([blocks[number] for number in numbers.sort().values.tolist()])
                for numbers in torch.split(shuffled(len(blocks)), WINDOW)
            )
        first = None
        for window in windows:
            met = shuffled(len(window))
            first = window[met[:1]] if first is None else first
            yield window, met
        if first is not None and len(rows) < self.length:
            yield first, torch.zeros(self.length - len(rows), dtype=torch.int64)

    def _from_memory(self, first: int) -> Iterator[Sequence[Tensor]]:
        """The tables' rows of each batch from row number `first` of the epoch on, [member, batch, …]."""
        for rows in torch.split(self.order().to(self.x.device)[:, first:], self.batch_size, 1):
            yield [table[rows] for table in self._tables]

    def _from_file(self, first: int) -> Iterator[Sequence[Tensor]]:
        """The same, with no more than a window of each member in memory."""
        members = [self._from_windows(member, first) for member in range(len(self.rows))]
        for batch in zip(*members, strict=True):
            yield [torch.stack(each) for each in zip(*batch, strict=True)]

    def _from_windows(self, member: int, first: int) -> Iterator[Sequence[Tensor]]:
        """The same of one member, [batch, …]."""
        nothing = rest = [table[:0] for table in self._tables]
        for rows, met in self._windows(member):
            met, first = met[first:], max(0, first - len(met))
            if len(met) == 0:
                continue
            window = [table[rows] for table in self._tables]
            lacking = self.batch_size - len(rest[0])
            for some in (met[:lacking], *torch.split(met[lacking:], self.batch_size)):
                rest = [torch.cat([left, each[some]]) for left, each in zip(rest, window, strict=True)]
                if len(rest[0]) == self.batch_size:
                    yield rest
                    rest = nothing
        if len(rest[0]):
            yield rest
