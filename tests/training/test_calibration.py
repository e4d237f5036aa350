from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.metrics import balanced_accuracy_score, f1_score
from support import class_probabilities
from torch import Tensor, nn

from mlplab.config.metrics import ThresholdMetric
from mlplab.models.linear_path import LinearPath
from mlplab.training.scoring import calibration
from mlplab.training.scoring.calibration import PRIOR_SCALE, HeldOutOutputs, best_threshold, mean_weights


def temperature_of(logits: Tensor, target: Tensor, weight: Tensor | None, row: Tensor | None = None) -> float:
    """That of rows, all different unless their numbers are given."""
    weight = torch.ones(len(target)) if weight is None else weight
    row = torch.arange(len(target)) if row is None else row
    return calibration.fit_temperature(logits, target, weight, row)


def drawn(rows: int, classes: int, temperature: float, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Logits, and targets drawn from `softmax(logits / temperature)`."""
    generator = torch.Generator().manual_seed(seed)
    calibrated = 2 * torch.randn(rows, classes, dtype=torch.float64, generator=generator)
    target = torch.multinomial(calibrated.softmax(1), 1, generator=generator).squeeze(1)
    return temperature * calibrated, target


def log_loss(logits: Tensor, target: Tensor, temperature: float) -> float:
    return torch.nn.functional.cross_entropy(logits / temperature, target).item()


def test_networks_with_a_smaller_error_weigh_more() -> None:
    names = ["silu", "silu", "relu"]
    assert mean_weights(np.array([1.0, 3.0, 4.0]), names) == pytest.approx([8 / 17, 8 / 17, 1 / 17])
    assert mean_weights(np.array([1e200, 1e-200, 1e-200]), names) == [0, 0, 1]
    assert mean_weights(np.array([1.0, 3.0, np.inf]), names) == [0.5, 0.5, 0]
    for bad in (0.0, np.nan):
        assert mean_weights(np.array([1.0, 2.0, bad]), names) == pytest.approx([1 / 3] * 3)


@pytest.mark.usefixtures("full_speed")
@pytest.mark.parametrize(
    ("rows", "temperature", "gain"), [(1, 1.0, -0.003), (30, 1.0, -0.003), (30, 2.5, 0.15)]
)
def test_logits_of_few_rows_gain_or_lose_little(rows: int, temperature: float, gain: float) -> None:
    """The share by which the mean log loss of other rows falls, over networks with few validation rows."""
    fitted, unscaled = 0.0, 0.0
    for seed in range(100):
        logits, target = drawn(rows + 1000, 3, temperature, seed)
        fitted += log_loss(logits[rows:], target[rows:], temperature_of(logits[:rows], target[:rows], None))
        unscaled += log_loss(logits[rows:], target[rows:], 1.0)
    assert 1 - fitted / unscaled > gain


def penalized_optimum(logits: Tensor, target: Tensor, weight: Tensor | None, rows: float) -> float:
    """The temperature of the lowest sum of the log loss of so many rows and the prior's logarithm."""
    share = None if weight is None else weight.numpy()

    def loss(log_temperature: float) -> float:
        log_probability = log_softmax(logits.numpy() / np.exp(log_temperature), axis=1)
        own = log_probability[np.arange(len(target)), target.numpy()]
        return -rows * np.average(own, weights=share) + np.log1p((log_temperature / PRIOR_SCALE) ** 2)

    bounds = np.log([calibration.LOWEST, calibration.HIGHEST])
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-9}).x))


@pytest.mark.parametrize(
    ("weighted", "temperature", "classes"),
    [(True, 0.3, 2), (False, 4.0, 2), (True, 4.0, 3), (False, 0.3, 10)],
)
def test_the_temperature_minimises_the_loss(weighted: bool, temperature: float, classes: int) -> None:
    """Rows of weight 0 do not count, whatever their logits, nor does the unit of weights."""
    logits, target = drawn(200, classes, temperature)
    weight = WEIGHT[:, 0].double() if weighted else torch.ones(200, dtype=torch.float64)
    effective = (weight.sum() ** 2 / (weight**2).sum()).item()
    expected = pytest.approx(penalized_optimum(logits, target, weight, effective), rel=1e-5)
    assert temperature_of(logits, target, weight if weighted else None) == expected
    more, zeros = torch.cat([logits, torch.nan * logits]), torch.cat([1e-6 * weight, 0 * weight])
    assert temperature_of(more, target.repeat(2), zeros) == expected


def test_without_rows_or_information_logits_stay() -> None:
    logits, target = drawn(20, 3, 8.0)
    assert temperature_of(logits[:0], target[:0], None) == 1.0
    assert temperature_of(logits, target, torch.zeros(20)) == 1.0
    for value in (0.0, torch.nan, torch.inf):
        assert temperature_of(torch.full((100, 3), value), torch.arange(100) % 3, None) == 1.0


CLASSES = 3
SOURCE = torch.Generator().manual_seed(0)
ROWS = [torch.randperm(200, generator=SOURCE)[:count] for count in (150, 19, 90)]
WEIGHT = torch.rand(200, 1, generator=SOURCE)
LOGITS, TARGET = drawn(200, CLASSES, 5)  # too sure of themselves


def held_out(weight: Tensor | None) -> HeldOutOutputs:
    """The outputs of members for their own rows, padded; each is surer than the one before."""
    padded = nn.utils.rnn.pad_sequence(ROWS, batch_first=True)
    z = torch.stack([(1 + member) * LOGITS[own] for member, own in enumerate(padded)])
    weights = None if weight is None else weight[padded]
    return HeldOutOutputs(z, None, TARGET[padded, None].double(), weights, ROWS)


@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_each_members_temperature_is_that_of_its_own_rows(weight: Tensor | None) -> None:
    found = calibration.temperatures(held_out(weight), [[0], [1], [2]])
    for member, rows in enumerate(ROWS):
        own = None if weight is None else weight[rows, 0]
        assert found[member] == temperature_of((1 + member) * LOGITS[rows], TARGET[rows], own)


def test_the_members_of_a_run_share_a_temperature_of_all_their_rows() -> None:
    rows = torch.cat([ROWS[0], ROWS[2]])
    logits = torch.cat([LOGITS[ROWS[0]], 3 * LOGITS[ROWS[2]]])
    expected = temperature_of(logits, TARGET[rows], None, rows)
    assert expected != pytest.approx(temperature_of(logits, TARGET[rows], None), rel=1e-4)
    found, _ = calibration.temperatures(held_out(None), [[0, 2], [1]])
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.usefixtures("full_speed")
def test_a_body_that_is_too_unsure_has_the_share_of_what_it_knows() -> None:
    """A linear model that is noisier, and as sure as it should be, does not gain a share by that."""
    logits, target = drawn(600, CLASSES, temperature=1)
    noise = torch.randn(600, CLASSES, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    unsure, noisy = 0.1 * logits, logits + noise
    assert log_loss(noisy, target, 1) < log_loss(unsure, target, 1)
    rows = [torch.arange(300), torch.arange(300, 600), torch.arange(300)]
    z = torch.stack([unsure[rows[0]], unsure[rows[1]], noisy[rows[2]]])
    u = torch.stack([noisy[rows[0]], noisy[rows[1]], unsure[rows[2]]])
    y = torch.stack([target[place] for place in rows])[..., None].double()
    last_layer = SimpleNamespace(target_transform=class_probabilities(CLASSES, 3))
    network: Any = SimpleNamespace(linear_path=LinearPath(2, CLASSES, 3), preprocessing=last_layer)
    first, last = calibration.linear_shares(network, HeldOutOutputs(z, u, y, None, rows), [[0, 1], [2]])
    assert first <= 0.1
    assert last >= 0.9


ROW = st.tuples(
    st.sampled_from([0.0, 0.1, 0.2, 0.5, 0.6, 1.0]) | st.floats(0, 1), st.booleans(), st.integers(0, 3)
)


@given(st.lists(ROW, max_size=15), st.sampled_from(["balanced_accuracy", "f1"]))
def test_no_threshold_between_predictions_is_better(
    rows: list[tuple[float, bool, int]], metric: ThresholdMetric
) -> None:
    p, y, weight = np.array(rows, float).reshape(-1, 3).T
    found = best_threshold(p, y.astype(bool), weight, metric)
    if len({*y[weight > 0]}) < 2:
        assert found == 0.5
        return
    scorer = balanced_accuracy_score if metric == "balanced_accuracy" else f1_score
    between = np.unique(p[weight > 0])
    middles = (between[1:] + between[:-1]) / 2
    candidates = [0.5, *middles[middles > 0].tolist()]
    scores = {each: float(scorer(y, p >= each, sample_weight=weight)) for each in candidates}
    assert scores[found] == pytest.approx(max(scores.values()))
    as_good = [each for each, value in scores.items() if value == pytest.approx(scores[found])]
    assert abs(found - 0.5) == min(abs(each - 0.5) for each in as_good)
    assert best_threshold(p, y.astype(bool), 3 * weight, metric) == found
