"""Which keys matter: what a chart shows by eye, and nothing that is chance."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlplab.runs.compare.key_importance import FEWEST, key_importance

VALUES = st.lists(st.floats(-1e6, 1e6), min_size=FEWEST, max_size=40)


def test_shares_are_those_written_out_by_hand() -> None:
    """η²_H = (H − k + 1) / (n − k), where H is the statistic of Kruskal and Wallis without ties."""
    rng = np.random.default_rng(0)
    scores, choices = rng.permutation(24).astype(float), [("a", "b", "c")[k % 3] for k in range(24)]
    ranks = {choice: [scores[k] + 1 for k in range(24) if choices[k] == choice] for choice in "abc"}
    statistic = 12 / (24 * 25) * sum(sum(group) ** 2 / 8 for group in ranks.values()) - 3 * 25
    expected = max(0, (statistic - 3 + 1) / (24 - 3))
    chance = (5.991 - 2) / (24 - 3)  # of χ² with two degrees of freedom, 19 of 20 are below 5.991
    assert key_importance(scores.tolist(), {"key": choices})["key"] == pytest.approx((expected, chance), 1e-3)


@pytest.mark.parametrize("runs", [16, 32, 128])
def test_what_has_no_effect_rarely_exceeds_what_is_called_chance(runs: int) -> None:
    rng, scores = np.random.default_rng(0), np.random.default_rng(1).normal(size=runs).tolist()
    kinds: dict[str, Callable[[], np.ndarray]] = {
        "numbers": lambda: rng.uniform(size=runs),
        "few numbers": lambda: rng.choice([1, 2, 4], size=runs, p=[0.6, 0.2, 0.2]),
        "two choices": lambda: rng.choice(["a", "b"], size=runs),
        "six choices": lambda: rng.choice(list("abcdef"), size=runs),
    }
    for draw in kinds.values():
        found = key_importance(scores, {str(k): draw().tolist() for k in range(400)}).values()
        exceeding = np.mean([share > chance for share, chance in found])
        assert (0.02 if runs == 128 else 0) < exceeding < 0.08  # of few runs, it is less
        assert np.median([share for share, _ in found]) < 0.02


def test_few_numbers_are_groups_as_choices_are() -> None:
    """The quartiles of these are tied, and would put 1 and 2 into one group."""
    values, scores = [1] * 4 + [2] * 4 + [4] * 12, [float(k) for k in range(20)]
    found = key_importance(scores, {"numbers": values, "choices": list(map(str, values))})
    assert found["numbers"] == found["choices"]


def test_a_key_with_its_best_in_the_middle_matters_and_diverged_runs_count() -> None:
    rng = np.random.default_rng(0)
    rates, noise = np.geomspace(1e-4, 10, 40), rng.uniform(size=40)
    scores = np.where(rates > 1, math.inf, np.abs(np.log10(rates) + 2) + 0.1 * noise)
    found = key_importance(scores.tolist(), {"lr": rates.tolist(), "dropout": noise.tolist()})
    assert found["lr"][0] > 0.6
    assert found["dropout"][0] < found["dropout"][1]


@given(VALUES)
def test_only_the_order_of_the_scores_counts(scores: list[float]) -> None:
    keys: dict[str, list[float | int | str]] = {
        "numbers": list(scores),
        "few": [k % 2 for k in range(len(scores))],
        "one": ["same"] * len(scores),
        "text": list(map(str, scores)),  # as many groups as runs
    }
    found = key_importance(scores, keys)
    assert all(0 <= share <= 1 for shares in found.values() for share in shares)
    assert not found or found["one"][0] == 0
    order = sorted(set(scores))
    assert key_importance([float(order.index(score)) for score in scores], keys) == found


def test_of_few_runs_nothing_is_said() -> None:
    scores = [float(k) for k in range(FEWEST)]
    share, chance = key_importance(scores, {"key": scores})["key"]
    assert share > chance
    assert key_importance(scores[1:], {"key": scores[1:]}) == {}
