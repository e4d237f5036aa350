"""Rungs: which runs reach them when, and which go on."""

import math

from hypothesis import given
from hypothesis import strategies as st

from mlplab.training.callbacks.rungs import Rung, rung_numbers, survivors

values = st.sampled_from([0.0, 1.0, 2.5, 7.0, math.inf]) | st.floats(allow_nan=False)  # many are equal


@given(st.lists(values, min_size=1, max_size=20), st.lists(values, max_size=20))
def test_those_with_fewer_better_values_than_places_go_on(now: list[float], earlier: list[float]) -> None:
    everything = now + earlier
    kept = max(1, len(everything) // 3)
    expected = [sum(other < value for other in everything) < kept for value in now]
    assert survivors(now, earlier) == expected


def test_the_later_of_two_rungs_at_one_epoch_counts_and_none_at_the_last() -> None:
    """Shares are not rounded up by their last bits."""
    assert 0.07 * 100 > 7
    for shares, epochs, expected in (
        ((0.07, 1 / 9, 1 / 3), 100, {7: 1, 12: 2, 34: 3}),
        ((0.01, 0.2, 0.5, 0.9), 5, {1: 2, 3: 3}),
        ((0.01, 0.2, 0.5, 0.9), 1, {}),
    ):
        assert rung_numbers([Rung(share, ()) for share in shares], epochs) == expected
