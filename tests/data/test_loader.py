import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mlplab.data.loader import Loader
from mlplab.data.module import batch_rows


def loader(rows: int, batch_size: int | None, seeds: list[int] | None) -> Loader:
    values = torch.arange(3.0 * rows).reshape(-1, 1)
    members = [torch.arange(rows) + rows * k for k in range(len(seeds or [0]))]
    return Loader(values.expand(-1, 2), -values.double(), members, batch_rows(batch_size, rows), seeds)


@given(
    st.integers(1, 40),
    st.integers(1, 50),
    st.lists(st.integers(0, 99), min_size=1, max_size=3),
    st.integers(0, 9),
)
def test_an_epoch_meets_each_row_of_a_member_once(rows: int, size: int, seeds: list[int], epoch: int) -> None:
    batches = loader(rows, size, seeds)
    batches.set_epoch(epoch)
    seen = list(batches)
    assert len(seen) == len(batches)
    assert [batch.x.shape[1] for batch in seen[:-1]] == [min(size, rows)] * (len(seen) - 1)
    for member in range(len(seeds)):
        met = torch.cat([batch.y[member, :, 0] for batch in seen])
        assert (-met).sort().values.tolist() == list(range(member * rows, (member + 1) * rows))
    assert all(torch.equal(batch.x[..., :1], -batch.y) for batch in seen)


def test_the_order_is_a_function_of_seed_and_epoch_alone() -> None:
    stack = loader(30, 7, [4, 5])
    alone = Loader(stack.x, stack.y, stack.rows[1:], 7, [5])
    for epoch in (2, 0, 2):
        stack.set_epoch(epoch)
        alone.set_epoch(epoch)
        assert torch.equal(stack.order()[1:], alone.order())
    first = stack.order()
    stack.set_epoch(3)
    assert not torch.equal(first, stack.order())


@given(
    st.lists(st.integers(1, 20), min_size=1, max_size=3), st.integers(1, 8), st.integers(1, 8), st.booleans()
)
def test_rows_that_fill_up_have_no_weight(counts: list[int], size: int, multiple: int, ordered: bool) -> None:
    values = torch.arange(60.0).reshape(-1, 1)
    members = [torch.arange(count) + 20 * k for k, count in enumerate(counts)]
    seeds = None if ordered else list(range(len(counts)))
    batches = list(Loader(values, values.double(), members, size, seeds, multiple))
    length = -(-max(counts) // multiple) * multiple
    assert [batch.x.shape[1] for batch in batches] == [min(size, length - i) for i in range(0, length, size)]
    for member, count in enumerate(counts):
        met, filled = [], 0
        for batch in batches:
            weight = torch.ones_like(batch.x) if batch.weight is None else batch.weight
            met += batch.y[member][weight[member] == 1].tolist()
            filled += int((weight[member] == 0).sum())
        assert sorted(met) == list(range(20 * member, 20 * member + count))
        assert filled == length - count
        assert sum(batch.rows()[member].item() for batch in batches) == count


def test_without_seeds_rows_come_in_order_and_none_takes_all() -> None:
    (batch,) = loader(5, None, None)
    assert batch.x[0, :, 0].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_shapes_are_checked() -> None:
    with pytest.raises(TypeError):
        Loader(torch.zeros(3), torch.zeros(3, 1), [torch.arange(3)], 1)
