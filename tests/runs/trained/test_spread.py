"""How far networks disagree, against its definitions."""

import numpy as np
import pytest

from mlplab.runs.predictions import spread_of


@pytest.mark.parametrize("members", [1, 2, 6])
def test_spread_counts_members_by_their_weights(members: int) -> None:
    drawn = np.random.default_rng(members)
    values, weights = drawn.normal(size=(members, 40, 3)), drawn.dirichlet(np.ones(members))
    mean = np.average(values, axis=0, weights=weights)
    variance = np.average((values - mean) ** 2, axis=0, weights=weights)
    np.testing.assert_allclose(spread_of(values, weights, of_classes=False), np.sqrt(variance), atol=1e-12)
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
