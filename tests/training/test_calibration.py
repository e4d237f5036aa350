import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from torch import Tensor

from mlplab.training import calibration
from mlplab.training.calibration import HIGHEST, LOWEST, MIN_ROWS, fit_temperature


def drawn(rows: int, classes: int, temperature: float, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Logits, and targets drawn from `softmax(logits / temperature)`."""
    generator = torch.Generator().manual_seed(seed)
    calibrated = 2 * torch.randn(rows, classes, dtype=torch.float64, generator=generator)
    target = torch.multinomial(calibrated.softmax(1), 1, generator=generator).squeeze(1)
    return temperature * calibrated, target


def weights(rows: int, seed: int = 1) -> Tensor:
    return torch.rand(rows, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) + 0.1


def log_loss(logits: Tensor, target: Tensor, temperature: float) -> float:
    return torch.nn.functional.cross_entropy(logits / temperature, target).item()


@pytest.mark.parametrize("classes", [2, 10])
@pytest.mark.parametrize("temperature", [0.5, 2.5])
def test_a_known_temperature_is_found(temperature: float, classes: int) -> None:
    assert fit_temperature(*drawn(5000, classes, temperature), None) == pytest.approx(temperature, rel=0.05)


@pytest.mark.usefixtures("full_speed")
def test_logits_of_few_rows_that_are_calibrated_mostly_stay() -> None:
    fitted, again = (
        [fit_temperature(*drawn(40, 3, 1.0, seed), None) for seed in range(30)] for _ in range(2)
    )
    assert fitted.count(1.0) >= 20
    assert fitted == again  # though the folds decide some


def test_too_few_rows_leave_the_logits() -> None:
    logits, target = drawn(MIN_ROWS, 3, 8.0)
    assert fit_temperature(logits, target, None) > 2
    for weight in range(1, 30):  # rounded, the squares of some add up to less
        assert fit_temperature(logits, target, torch.full((MIN_ROWS,), weight / 10, dtype=torch.float64)) > 2
    assert fit_temperature(logits[1:], target[1:], None) == 1.0
    assert fit_temperature(logits[:0], target[:0], None) == 1.0
    assert fit_temperature(logits, target, (torch.arange(MIN_ROWS) > 0).float()) == 1.0


def test_many_rows_of_uneven_weights_are_worth_few() -> None:
    logits, target = drawn(1000, 3, 8.0)
    assert fit_temperature(logits, target, 0.5 ** torch.arange(1000.0)) == 1.0


@pytest.mark.parametrize("classes", [2, 3, 10])
@pytest.mark.parametrize("temperature", [0.3, 4.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_temperature_minimises_the_log_loss_of_smoothed_targets(
    weighted: bool, temperature: float, classes: int
) -> None:
    logits, target = drawn(200, classes, temperature)
    weight = weights(200) if weighted else None
    z, share = logits.numpy(), np.ones(200) if weight is None else weight.numpy()
    rows = share.sum() ** 2 / (share**2).sum()
    smoothed = (np.eye(classes)[target] * rows + 1 / classes) / (rows + 1)

    def loss(log_temperature: float) -> float:
        log_probability = log_softmax(z / np.exp(log_temperature), axis=1)
        return -np.average((smoothed * log_probability).sum(1), weights=share)

    expected = minimize_scalar(
        loss, bounds=np.log([LOWEST, HIGHEST]), method="bounded", options={"xatol": 1e-9}
    )
    assert fit_temperature(logits, target, weight) == pytest.approx(np.exp(expected.x), rel=1e-5)


def test_a_weight_counts_as_repetitions_of_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    # Effective rows, and so the smoothing, have no unit of weight.
    monkeypatch.setattr(calibration, "_effective_rows", lambda weight: np.full(len(weight), 90.0))
    logits, target = drawn(300, 3, 3.0)
    repetitions = torch.arange(300) % 4
    logits_repeated, target_repeated = (each.repeat_interleave(repetitions, 0) for each in (logits, target))
    repeated = fit_temperature(logits_repeated, target_repeated, None)
    assert fit_temperature(logits, target, repetitions.double()) == pytest.approx(repeated, rel=1e-9)


def test_weights_have_no_unit() -> None:
    logits, target = drawn(300, 3, 3.0)
    weight = weights(300)
    fitted = fit_temperature(logits, target, weight)
    assert fit_temperature(logits, target, 1e-6 * weight) == pytest.approx(fitted, rel=1e-9)
    assert fit_temperature(logits, target, torch.full((300,), 7.0)) == pytest.approx(
        fit_temperature(logits, target, None), rel=1e-9
    )


def test_the_rows_that_weigh_most_decide_whether_a_temperature_helps() -> None:
    logits, target = drawn(100, 3, 3.0)
    without_errors = torch.eye(3, dtype=torch.float64)[torch.arange(2000) % 3]
    all_logits = torch.cat([logits, without_errors])
    all_targets = torch.cat([target, without_errors.argmax(1)])
    weight = torch.where(torch.arange(2100) < 100, 1, 1e-6)
    fitted = fit_temperature(logits, target, None)
    assert fit_temperature(all_logits, all_targets, weight) == pytest.approx(fitted, rel=1e-3)


def test_rows_of_weight_0_do_not_count() -> None:
    logits, target = drawn(300, 3, 3.0)
    weight, counts = weights(300), torch.arange(300) % 3 > 0
    expected = fit_temperature(logits[counts], target[counts], weight[counts])
    unusable = torch.where(counts.unsqueeze(1), logits, torch.nan)
    assert expected != 1.0
    assert fit_temperature(unusable, target, weight * counts) == expected


@pytest.mark.parametrize("factor", [0.5, 3.0])
def test_the_temperature_grows_with_the_logits(factor: float) -> None:
    logits, target = drawn(300, 3, 2.5)
    scaled = fit_temperature(factor * logits, target, None)
    assert scaled == pytest.approx(factor * fit_temperature(logits, target, None), rel=1e-6)


def separable(rows: int, scale: float) -> tuple[Tensor, Tensor]:
    target = torch.arange(rows) % 3
    noise = torch.rand(rows, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return scale * (torch.eye(3, dtype=torch.float64)[target] + noise / 2), target


@pytest.mark.parametrize("rows", [MIN_ROWS, 1000])
def test_rows_without_errors_get_a_low_temperature_that_falls_with_their_number(rows: int) -> None:
    logits, target = separable(rows, 2.0)
    temperature = fit_temperature(logits, target, None)
    assert LOWEST < temperature < 1
    wrong = 1 - (logits / temperature).softmax(1).gather(1, target.unsqueeze(1)).mean().item()
    assert 0.2 / rows < wrong < 2 / rows
    assert fit_temperature(*separable(rows, 0.01), None) == pytest.approx(LOWEST)


def test_logits_no_better_than_chance_get_the_highest_temperature() -> None:
    logits, target = drawn(300, 3, 50.0)
    assert fit_temperature(logits, (target + 1) % 3, None) == pytest.approx(HIGHEST)


@pytest.mark.parametrize("value", [0.0, torch.nan, torch.inf])
def test_logits_without_information_stay(value: float) -> None:
    assert fit_temperature(torch.full((100, 3), value), torch.arange(100) % 3, None) == 1.0


def test_the_temperature_is_the_same_every_time_and_draws_nothing() -> None:
    logits, target = drawn(300, 10, 2.5)
    before = torch.get_rng_state()
    fitted = fit_temperature(logits, target, None)
    assert torch.equal(torch.get_rng_state(), before)
    assert fit_temperature(logits, target, None) == fitted
    assert fit_temperature(logits.float(), target, None) == pytest.approx(fitted, rel=1e-5)


@pytest.mark.usefixtures("full_speed")
@pytest.mark.parametrize("noise", [0, 5])
def test_the_log_loss_of_its_own_rows_never_rises(noise: int) -> None:
    for rows in (20, 30, 200):
        for temperature in (0.3, 0.9, 1.0, 1.2, 5.0):
            for seed in range(6):
                logits, target = drawn(rows, 2 + seed % 3, temperature, seed)
                target[: rows * noise // 20] = 0
                fitted = fit_temperature(logits, target, None)
                assert log_loss(logits, target, fitted) <= log_loss(logits, target, 1.0)
