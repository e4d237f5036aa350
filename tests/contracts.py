"""Laws that layers, losses, metrics, statistics and the order of batches have in common."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

Results = Mapping[str, Tensor]


def assert_member_independent(compute: Callable[[list[int]], Results], members: int) -> None:
    """A member's results have the same bits alone and anywhere in a stack.

    `compute` gives the results of a stack of the members with these indices, with a leading member axis.
    """
    stack = compute(list(range(members)))
    for chosen in ([*reversed(range(members))], *([member] for member in range(members))):
        assert_close(compute(chosen), {name: values[chosen] for name, values in stack.items()}, 0)


def assert_weight_equals_repetition(
    compute: Callable[[Tensor, Tensor | None], Results],
    weights: Sequence[float],
    *,
    unit: float = 7.5,
    repeat_last: bool = True,
) -> None:
    """A row of weight n counts as n rows, in any unit of the weights; rows of weight 0 do not count at all.

    `compute` gives the results of the rows with these indices and weights; None stands for equal weights. If
    they have another formula, `repeat_last=False` keeps the last row's weight instead of repeating it.
    """
    times = torch.tensor(weights, dtype=torch.float64)
    rows, last = torch.arange(len(times)), len(times) - 1
    weighted = compute(rows, times)
    repeated = rows.repeat_interleave(times.long())
    if repeat_last:
        assert_close(compute(repeated, None), weighted)
    else:
        repeated = torch.cat([repeated[repeated < last], rows[-1:]])
        assert_close(compute(repeated, torch.where(repeated == last, times[-1], 1.0)), weighted)
    assert_close(compute(rows, unit * times), weighted)
    assert_close(compute(rows[times > 0], times[times > 0]), weighted)


def assert_equal_weights_are_none(
    compute: Callable[[Tensor, Tensor | None], Results], rows: int, *, weight: float = 1
) -> None:
    """Rows of equal weights give the bits that they give without weights."""
    numbers = torch.arange(rows)
    found = compute(numbers, torch.full((rows,), weight, dtype=torch.float64))
    assert_close(found, compute(numbers, None), 0)


def assert_close(found: Results, expected: Results, tolerance: float = 1e-9) -> None:
    """The same values to rounding, NaN included."""
    found, expected = dict(found), dict(expected)
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance, equal_nan=True)
