from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mlplab.data.batches.datamodule import TableDataModule
from mlplab.data.batches.loader import WINDOW, Loader
from mlplab.data.defaults import batch_rows
from mlplab.data.schema import Schema
from mlplab.data.splits.split import Split
from mlplab.data.table import Table
from mlplab.random_streams import generator

assert_same = partial(torch.testing.assert_close, rtol=0, atol=0)


def table(rows: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Inputs, targets and weights made of their row numbers."""
    numbers = torch.arange(float(rows)).unsqueeze(1)
    return torch.cat([numbers, -numbers], 1), numbers.double(), numbers + 1


def test_the_order_is_a_function_of_seed_and_epoch_alone() -> None:
    x, y, _ = table(60)
    rows = torch.arange(60).split(30)
    stack = Loader(x, y, rows, 7, [4, 5])
    for epoch in (2, 0, 2):
        stack.set_epoch(epoch)
        for own, seed, found in zip(rows, (4, 5), stack.order(), strict=True):
            assert torch.equal(found, own[torch.randperm(30, generator=generator(seed, "order", epoch))])


def test_without_seeds_rows_come_in_order_and_none_takes_all() -> None:
    x, y, _ = table(5)
    (batch,) = Loader(x, y, [torch.arange(5)], batch_rows(None, 5), None)
    assert batch.x[0, :, 0].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]


@settings(max_examples=25)
@given(
    st.lists(st.integers(1, 400), min_size=1, max_size=3),
    st.integers(1, 30),
    st.none() | st.integers(1, 4),
    st.integers(1, 40),
    st.integers(0, 5),
)
def test_an_epoch_has_each_row_of_a_member_once_and_resumes_in_the_middle(
    counts: list[int], size: int, block: int | None, multiple: int, epoch: int
) -> None:
    """Padding has no weight, and members do not depend on each other."""
    source = torch.Generator().manual_seed(sum(counts))
    members = [torch.randperm(500, generator=source)[:count].sort().values for count in counts]
    x, y, weight = table(500)
    shared = partial(Loader, x, y, batch_size=size, file_block=block)
    loader = shared(members, seeds=range(len(members)), multiple=multiple, row_weight=weight)
    plain = shared(members, seeds=range(len(members)), multiple=multiple)
    assert sum(batch.row_counts() for batch in plain).tolist() == counts
    loader.set_epoch(epoch)
    order, seen = loader.order(), list(loader)
    assert order.shape[1] == -(-max(counts) // multiple) * multiple
    assert len(seen) == len(loader) == -(-order.shape[1] // size)
    for member, rows in enumerate(members):
        assert torch.equal(order[member, : len(rows)].sort().values, rows)
        assert (order[member, len(rows) :] == order[member, 0]).all()
        single = shared(members[member : member + 1], seeds=[member])
        single.set_epoch(epoch)
        assert torch.equal(single.order()[0], order[member, : len(rows)])
    assert torch.equal(torch.cat([batch.y[..., 0] for batch in seen], 1).long(), order)
    for batch in seen:
        assert torch.equal(batch.x[..., :1].double(), batch.y)
        assert ((batch.row_weight == batch.y + 1) | (batch.row_weight == 0)).all()
    assert sum(batch.row_counts() for batch in seen).tolist() == [int((rows + 1).sum()) for rows in members]
    for position in {0, 1, len(seen) // 2, len(seen) - 1} & set(range(len(seen))):
        loader.load_state_dict({"position": position})
        assert_same(list(loader), seen[position:])


def test_blocks_of_neighbours_are_shuffled_and_then_rows_within_a_window() -> None:
    x, y, _ = table(2000)
    (order,) = Loader(x, y, [torch.arange(0, 2000, 2)], 50, [0], file_block=5).order()
    for window in order.split(WINDOW * 5):
        blocks, sizes = (window // 10).unique(return_counts=True)
        assert set(sizes.tolist()) == {5}
        assert not torch.equal(blocks, blocks[0] + torch.arange(len(blocks)))
        assert not torch.equal(window, window.sort().values)


def test_one_block_is_the_order_of_a_table_in_memory() -> None:
    x, y, _ = table(90)
    one_block, in_memory = (Loader(x, y, [torch.arange(90)], 7, [3], file_block=b) for b in (90, None))
    assert torch.equal(one_block.order(), in_memory.order())


def test_a_memory_mapped_table_gives_the_batches_of_one_in_memory(tmp_path: Path) -> None:
    x, y, weights = (tensor.numpy() for tensor in table(9000))
    rows, arrays = np.arange(9000), {"x": x, "y": y, "weight": weights[:, 0].astype(np.float64)}
    in_memory = Table("t", Schema((), ("y",)), **arrays, split_columns={}, rows=rows)
    for name, array in arrays.items():
        array.tofile(tmp_path / name)
        arrays[name] = np.memmap(tmp_path / name, array.dtype, "c", shape=array.shape)
    splits = [Split(rows[::3], rows[1::3], rows[2::3]), Split(rows[1::3], rows[2:6000:3], rows[::3])]
    mapped = TableDataModule(replace(in_memory, **arrays), splits, [0, 1], 100, file_block=10)
    other = TableDataModule(in_memory, splits, [0, 1], 100)
    assert_same(list(mapped.val_dataloader()), list(other.val_dataloader()))
    assert_same(list(mapped.test_dataloader()), list(other.test_dataloader()))
    met = torch.cat([batch.y[0, :, 0] for batch in mapped.train_dataloader()])
    assert met.sort().values.tolist() == rows[::3].tolist()


@settings(max_examples=20)
@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=3), st.integers(1, 12), st.integers(1, 60), st.data()
)
def test_whole_epochs_are_given_together_where_they_fit_into_a_block(
    counts: list[int], size: int, steps: int, data: st.DataObject
) -> None:
    x, y, weight = table(40)
    members, size = [torch.arange(count) for count in counts], min(size, max(counts))
    epochs = range(data.draw(st.integers(0, 3)), 5)
    position = data.draw(st.integers(0, -(-max(counts) // size) - 1))

    weights = {"row_weight": weight, "mean_weight": torch.ones(len(members), dtype=torch.float64)}
    shared = partial(Loader, x, y, members, size, range(len(members)), size, **weights)
    together, single = shared(steps=steps, epochs=epochs), shared(steps=1)
    seen = list(together)
    assert len(seen) == len(together)
    expected = []
    for epoch in epochs:
        single.set_epoch(epoch)
        expected += list(single)
    parts = [[torch.cat(parts, 1) for parts in zip(*batches, strict=True)] for batches in (seen, expected)]
    assert_same(*parts)
    together.load_state_dict({"position": position})
    rest = [torch.cat(part, 1) for part in zip(*together, strict=True)]
    assert_same(rest, [part[:, position:] for part in parts[1]])
