"""Rungs: which runs reach them when, and which go on."""

import math

from hypothesis import given
from hypothesis import strategies as st

from mlplab.training.callbacks.rungs import Bracket, Rung, rung_numbers, survivors

values = st.sampled_from([0.0, 1.0, 2.5, 7.0, math.inf]) | st.floats(allow_nan=False)  # many are equal


@given(st.lists(values, min_size=1, max_size=20), st.lists(values, max_size=20))
def test_those_with_fewer_better_values_than_places_go_on(now: list[float], earlier: list[float]) -> None:
    everything = now + earlier
    kept = max(1, len(everything) // 3)
    expected = [sum(other < value for other in everything) < kept for value in now]
    assert survivors(now, earlier) == expected


shares = st.floats(1e-3, 1) | st.integers(1, 8).map(lambda power: 3.0**-power)


@given(st.lists(shares, max_size=6), st.integers(1, 500))
def test_a_rung_is_reached_after_its_share_of_the_epochs(drawn: list[float], epochs: int) -> None:
    bracket = Bracket(tuple(Rung(share, ()) for share in sorted(drawn)))
    expected = {}
    for epoch in range(1, epochs):
        reached = [n for n, share in enumerate(sorted(drawn), 1) if share * epochs <= epoch + 1e-9]
        before = [n for n, share in enumerate(sorted(drawn), 1) if share * epochs <= epoch - 1 + 1e-9]
        if reached != before:
            expected[epoch] = reached[-1]
    assert rung_numbers(bracket.rungs, epochs) == expected


def test_shares_are_not_rounded_up_by_their_last_bits() -> None:
    assert 0.07 * 100 > 7
    assert rung_numbers((Rung(0.07, ()), Rung(1 / 9, ()), Rung(1 / 3, ())), 100) == {7: 1, 12: 2, 34: 3}


def test_the_later_of_two_rungs_at_one_epoch_counts_and_none_at_the_last() -> None:
    bracket = Bracket((Rung(0.01, ()), Rung(0.2, ()), Rung(0.5, ()), Rung(0.9, ())))
    assert rung_numbers(bracket.rungs, 5) == {1: 2, 3: 3}
    assert rung_numbers(bracket.rungs, 1) == {}
