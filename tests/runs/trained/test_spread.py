"""How far networks disagree, against its definitions."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mlplab.runs.predictions import spread_of


@st.composite
def members(draw: st.DrawFn, outputs: int) -> tuple[np.ndarray, np.ndarray]:
    """Predictions of several networks, and their weights."""
    drawn = np.random.default_rng(draw(st.integers(0, 10**6)))
    number = draw(st.integers(1, 6))
    weights = drawn.random(number) + 0.01
    return drawn.normal(size=(number, 4, outputs)), weights / weights.sum()


@given(members(2))
def test_the_standard_deviation_counts_members_by_their_weights(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    values, weights = drawn
    mean = np.average(values, axis=0, weights=weights)
    variance = np.average((values - mean) ** 2, axis=0, weights=weights)
    np.testing.assert_allclose(spread_of(values, weights, of_classes=False), np.sqrt(variance), atol=1e-12)


@given(members(3))
def test_disagreement_is_part_of_the_entropy(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    values, weights = drawn
    probabilities = np.exp(4 * values)
    probabilities /= probabilities.sum(2, keepdims=True)
    total, disagreement = spread_of(probabilities, weights, of_classes=True).T
    mean = np.average(probabilities, axis=0, weights=weights)
    divergence = (probabilities * np.log(probabilities / mean)).sum(2)
    np.testing.assert_allclose(total, -(mean * np.log(mean)).sum(1), atol=1e-12)
    np.testing.assert_allclose(disagreement, weights @ divergence, atol=1e-12)
    assert (disagreement >= 0).all()


def test_certain_networks_that_contradict_each_other() -> None:
    yes, no, unsure = [0.0, 1.0], [1.0, 0.0], [0.5, 0.5]
    probabilities = np.array([[yes, yes, unsure], [no, yes, unsure]])
    spread = spread_of(probabilities, np.array([0.5, 0.5]), of_classes=True)
    np.testing.assert_allclose(spread, [[np.log(2), np.log(2)], [0, 0], [np.log(2), 0]], atol=1e-12)
    assert not np.signbit(spread).any()
