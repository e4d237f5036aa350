"""Batches: rows of tables in an order of each member's own, in memory or memory-mapped."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import lru_cache, partial
from typing import NamedTuple

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from mlplab.random_streams import generator

EVALUATION_BATCH_ROWS = 4096
"""Rows of a validation or test batch: enough for speed, few enough for the memory of a wide network."""

EVALUATION_MULTIPLE = 64
"""Validation and test rows are padded to a multiple of this. Matrix products of few rows take different code
paths and round differently, so a member's last bits could depend on the row counts of its neighbours."""

GATHERED_BYTES = 2**17
"""Bytes of the batches that are gathered together: few enough to stay in the processor's cache."""

CACHED_BYTES = 2**24
"""Bytes of batches that are cached for all epochs."""

WINDOW = 64
"""Blocks whose rows are shuffled together."""


class Batch(NamedTuple):
    """Inputs and targets of one step, or of a block of steps; each member has its own rows.

    Attributes:
        row_weight: the weight of each row, 0 for padding; None if all weights are 1.
        total: the divisor of a member's loss: the sum of its weights in an average batch of this size; None:
            the sum in this batch, where a row's weight counts only relative to its batch.
    """

    x: Float[Tensor, "member *step batch feature"]
    y: Float64[Tensor, "member *step batch target"]
    row_weight: Float[Tensor, "member *step batch 1"] | None = None
    total: Float64[Tensor, " member *step"] | None = None

    def to(self, device: torch.device) -> "Batch":
        """The batch on another device."""
        return Batch(*(None if part is None else part.to(device) for part in self))  # type: ignore[arg-type]

    def repeated(self, times: int) -> "Batch":
        """Repeats the target and the weight of each row, for as many predictions of it."""
        if times == 1:
            return self
        weight = None if self.row_weight is None else self.row_weight.repeat_interleave(times, -2)
        total = None if self.total is None else self.total * times
        return Batch(self.x, self.y.repeat_interleave(times, -2), weight, total)

    def row_counts(self) -> Float64[Tensor, " member *step"]:
        """Weighted number of rows of each member, or `total`."""
        if self.total is not None:
            return self.total
        if self.row_weight is None:
            *shape, rows, _ = self.y.shape
            return _full(tuple(shape), rows, self.x.device)
        return self.row_weight.sum((-2, -1), dtype=torch.float64)


@lru_cache(maxsize=8)
def _full(shape: tuple[int, ...], rows: int, device: torch.device) -> Float64[Tensor, " member *step"]:
    return torch.full(shape, rows, dtype=torch.float64, device=device)


@dataclass(eq=False)
class Loader:
    """Batches for all members at once, in an order that depends only on each member's seed and the epoch.

    Random access to a file is slow. So the rows of a memory-mapped table are divided into blocks of
    consecutive rows, the blocks are shuffled, and then the rows of `WINDOW` of them at a time.

    Args:
        x: inputs of the whole table, on the device of the batches or on the CPU.
        y: targets of the whole table, in their own units.
        rows: the row numbers of each member.
        seeds: the seed of each member; None: keep the order of `rows`.
        multiple: each member's rows are padded to a multiple of this, with rows of weight 0. If that is not a
            multiple of `batch_size`, the last batch is shorter.
        row_weight: the weight of each row of the table; None if all are equal.
        mean_weight: the mean weight of each member's rows, from which the `total` of batches is computed.
        file_block: number of rows per block of a memory-mapped table; None for a table in memory.
        steps: number of batches that are yielded as one, with an axis for them; None: there is none. If an
            epoch of a table in memory has fewer, those of several whole epochs are one.
        epochs: the epochs of an iteration, counted from 0; None: one, which `set_epoch` sets.
        position: number of batches that the next iteration skips.
    """

    x: Float[Tensor, "row feature"]
    y: Float64[Tensor, "row target"]
    rows: Sequence[Int64[Tensor, " _"]]
    batch_size: int
    seeds: Sequence[int] | None = None
    multiple: int = 1
    _: KW_ONLY
    row_weight: Float[Tensor, "row 1"] | None = None
    mean_weight: Float64[Tensor, " member"] | None = None
    file_block: int | None = None
    steps: int | None = None
    epochs: range | None = None
    position: int = 0
    batch_sampler = None  # the Trainer accesses it on loaders with a sampler

    def __post_init__(self) -> None:
        self._size = self.batch_size * (self.steps or 1)  # rows that are given together
        counts = [*map(len, self.rows)]
        self.counts = torch.tensor(counts, device=self.x.device)
        self.length = -(-max(counts) // self.multiple) * self.multiple
        self._yielded = 0
        self._full = min(counts)  # rows before any member's padding
        self._epochs = self.epochs or range(1)
        if self.mean_weight is not None:
            self.mean_weight = self.mean_weight.to(self.x.device)
        self._epochs_together = max(1, self._size // self.length) if self.file_block is None else 1
        self._tables = [table for table in (self.x, self.y, self.row_weight) if table is not None]
        self._row_bytes = len(self.rows) * sum(table[0].nbytes for table in self._tables)

    @property
    def sampler(self) -> "Loader":
        """The loader itself: the Trainer calls `set_epoch` of a loader's `sampler`."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Sets the epoch of the next iteration, counted from 0, unless its `epochs` are given."""
        self._epochs = self.epochs or range(epoch, epoch + 1)

    def state_dict(self) -> dict[str, int]:
        """The number of the epoch's batches that have been yielded, for checkpoints of the Trainer."""
        return {"position": self._yielded % len(self)}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Makes the next iteration begin in the middle of an epoch."""
        self.position = state["position"]

    def __len__(self) -> int:
        """The number of batches of an iteration that skips none; a block of steps is one batch."""
        spans = -(-len(self._epochs) // self._epochs_together)
        return spans * max(1, -(-self.length // self._size))

    def cached(self) -> "Loader | list[Batch]":
        """The batches, if they always are the same and take little memory; otherwise the loader."""
        is_small = self.seeds is None and self.length * self._row_bytes <= CACHED_BYTES
        return list(self) if is_small else self

    def order(self, epochs: Sequence[int] | None = None) -> Int64[Tensor, "member row"]:
        """Row numbers in the order of the batches, those of each epoch padded with its first row.

        `epochs` are those of the next iteration by default.
        """
        epochs = self._epochs if epochs is None else epochs
        order = torch.empty(len(self.rows), len(epochs), self.length, dtype=torch.int64)
        for member, by_epoch in enumerate(order):
            for epoch, numbers in zip(epochs, by_epoch, strict=True):
                torch.cat([*self._windows(member, epoch)], out=numbers)
        return order.flatten(1)

    def __iter__(self) -> Iterator[Batch]:
        """Batches of the epochs; of the first, those after `position`."""
        first, self._yielded, self.position = self.position * self.batch_size, self.position, 0
        for number in range(0, len(self._epochs), self._epochs_together):
            for batch in self._batches(self._epochs[number : number + self._epochs_together], first):
                self._yielded += 1
                yield batch
            first = 0

    def _batches(self, epochs: Sequence[int], first: int) -> Iterator[Batch]:
        """Batches of epochs that are given together, from position `first` on."""
        batches = self._gathered(epochs, first)
        for start in range(first, len(epochs) * self.length, self._size):
            x, y, *weights = next(batches)
            row_weight = weights[0] if weights else None
            if start % self.length + x.shape[1] > self._full:
                numbers = torch.arange(start, start + x.shape[1], device=x.device) % self.length
                is_row = (numbers < self.counts.unsqueeze(1)).unsqueeze(2)
                row_weight = is_row.to(x.dtype) if row_weight is None else row_weight * is_row
            total = None
            if self.mean_weight is not None:
                starts = torch.arange(start, start + x.shape[1], self.batch_size, device=x.device)
                starts %= self.length
                rows = (self.counts.unsqueeze(1) - starts).clamp(0, min(self.batch_size, x.shape[1]))
                total = rows * self.mean_weight.unsqueeze(1)
                total = total[:, 0] if self.steps is None else total
            shape = x.shape[:2] if self.steps is None else (len(x), -1, self.batch_size)
            weight = None if row_weight is None else row_weight.view(*shape, 1)
            yield Batch(x.view(*shape, x.shape[2]), y.view(*shape, y.shape[2]), weight, total)

    def _windows(self, member: int, epoch: int) -> Iterator[Int64[Tensor, " _"]]:
        """Yields the row numbers of a member's epoch: those of each window in random order, and padding."""
        rows, permutation = self.rows[member], torch.arange
        if self.seeds is not None:
            source = generator(self.seeds[member], "order", epoch)
            permutation = partial(torch.randperm, generator=source)
        windows: Iterable[Tensor] = [rows]
        if self.file_block is not None:
            blocks = torch.split(rows, self.file_block)
            windows = (
                torch.cat([blocks[number] for number in numbers.sort().values.tolist()])
                for numbers in torch.split(permutation(len(blocks)), WINDOW)
            )
        padding = rows[:0]
        for window in windows:
            shuffled = window[permutation(len(window))]
            padding = padding if len(padding) else shuffled[:1].repeat(self.length - len(rows))
            yield shuffled
        yield padding

    def _orders(self, epochs: Sequence[int], first: int, most: int) -> Iterator[Int64[Tensor, "member _"]]:
        """Yields the next `most` row numbers, from position `first` on.

        The order of a whole epoch of a memory-mapped table would take much memory itself.
        """
        if self.file_block is None:
            yield from torch.split(self.order(epochs)[:, first:].to(self.x.device), most, 1)
            return
        members = (_split(self._windows(member, epochs[0]), first, most) for member in range(len(self.rows)))
        yield from map(torch.stack, zip(*members, strict=True))

    def _gathered(self, epochs: Sequence[int], first: int) -> Iterator[Sequence[Tensor]]:
        """Rows of the tables for each batch, from position `first` on, as `[member, batch, …]`."""
        together = max(1, GATHERED_BYTES // (self._row_bytes * self._size)) * self._size
        for order in self._orders(epochs, first, together):
            whole = order.shape[1] // self._size * self._size
            for rows in filter(torch.numel, (order[:, :whole], order[:, whole:])):
                batches = rows.reshape(len(rows), -1, min(self._size, rows.shape[1])).transpose(0, 1)
                numbers = batches.flatten()
                gathered = [table.index_select(0, numbers).view(*batches.shape, -1) for table in self._tables]
                yield from zip(*(table.unbind() for table in gathered), strict=True)


def _split(windows: Iterable[Tensor], first: int, most: int) -> Iterator[Tensor]:
    """Yields what windows have in a row, from position `first` on, in pieces of `most` and a shorter last."""
    rest = torch.empty(0, dtype=torch.int64)
    for window in windows:
        *pieces, rest = torch.split(torch.cat([rest, window[first:]]), most)
        first = max(0, first - len(window))
        yield from pieces
    if len(rest):
        yield rest
