import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from torch import Tensor

from mlplab.training.calibration import HIGHEST, LOWEST, PRIOR_SCALE, fit_temperature


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


def gain(rows: int, temperature: float) -> float:
    """The share by which the mean log loss of other rows falls, over networks with few validation rows."""
    fitted, unscaled = 0.0, 0.0
    for seed in range(100):
        logits, target = drawn(rows + 1000, 3, temperature, seed)
        chosen = fit_temperature(logits[:rows], target[:rows], None)
        fitted += log_loss(logits[rows:], target[rows:], chosen)
        unscaled += log_loss(logits[rows:], target[rows:], 1.0)
    return 1 - fitted / unscaled


@pytest.mark.usefixtures("full_speed")
@pytest.mark.parametrize("rows", [1, 10, 30])
def test_calibrated_logits_of_few_rows_lose_little(rows: int) -> None:
    assert gain(rows, 1.0) > -0.003


@pytest.mark.usefixtures("full_speed")
def test_logits_that_are_too_sure_gain_with_few_rows() -> None:
    assert gain(30, 2.5) > 0.15


def penalized_optimum(logits: Tensor, target: Tensor, weight: Tensor | None, rows: float) -> float:
    """The temperature of the lowest sum of the log loss of so many rows and the prior's logarithm."""
    share = None if weight is None else weight.numpy()

    def loss(log_temperature: float) -> float:
        log_probability = log_softmax(logits.numpy() / np.exp(log_temperature), axis=1)
        own = log_probability[np.arange(len(target)), target.numpy()]
        return -rows * np.average(own, weights=share) + np.log1p((log_temperature / PRIOR_SCALE) ** 2)

    bounds = np.log([LOWEST, HIGHEST])
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-9}).x))


@pytest.mark.parametrize("classes", [2, 3, 10])
@pytest.mark.parametrize("temperature", [0.3, 4.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_temperature_minimises_the_log_loss_and_the_priors(
    weighted: bool, temperature: float, classes: int
) -> None:
    logits, target = drawn(200, classes, temperature)
    weight = weights(200) if weighted else torch.ones(200, dtype=torch.float64)
    effective = (weight.sum() ** 2 / (weight**2).sum()).item()
    expected = penalized_optimum(logits, target, weight, effective)
    assert fit_temperature(logits, target, weight if weighted else None) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("temperature", [0.7, 1.1, 2.0])
def test_the_prior_keeps_the_temperature_nearer_to_1_the_fewer_the_rows(temperature: float) -> None:
    differences = []
    for rows in (30, 300, 3000):
        logits, target = drawn(rows, 3, temperature)
        unshrunk = np.log(penalized_optimum(logits, target, None, 1e9))
        fitted = np.log(fit_temperature(logits, target, None))
        assert 0 < fitted / unshrunk < 1
        differences.append(1 - fitted / unshrunk)
    assert differences == sorted(differences, reverse=True)
    assert differences[-1] < 0.05


def test_without_rows_logits_stay() -> None:
    logits, target = drawn(20, 3, 8.0)
    assert fit_temperature(logits[:0], target[:0], None) == 1.0
    assert fit_temperature(logits, target, torch.zeros(20)) == 1.0


def test_many_rows_of_uneven_weights_are_worth_few() -> None:
    logits, target = drawn(1000, 3, 0.5)
    assert fit_temperature(logits, target, None) < 0.6
    assert fit_temperature(logits, target, 0.5 ** torch.arange(1000.0)) > 0.9


def test_repetitions_of_a_row_share_its_weight() -> None:
    logits, target = drawn(300, 3, 0.7)
    repetitions, row = torch.arange(300) % 4, torch.arange(300) + 7
    repeated = fit_temperature(
        *(values.repeat_interleave(repetitions, 0) for values in (logits, target)),
        None,
        row.repeat_interleave(repetitions),
    )
    assert repeated != 1.0
    assert fit_temperature(logits, target, repetitions.double()) == pytest.approx(repeated, rel=1e-9)
    once = fit_temperature(logits, target, None)
    twice = fit_temperature(torch.cat([logits, logits]), torch.cat([target, target]), None, row.repeat(2))
    assert twice == pytest.approx(once, rel=1e-9)


def test_weights_have_no_unit() -> None:
    logits, target = drawn(300, 3, 3.0)
    weight = weights(300)
    fitted = fit_temperature(logits, target, weight)
    assert fit_temperature(logits, target, 1e-6 * weight) == pytest.approx(fitted, rel=1e-9)
    assert fit_temperature(logits, target, torch.full((300,), 7.0)) == pytest.approx(
        fit_temperature(logits, target, None), rel=1e-9
    )


def test_the_rows_that_weigh_most_decide() -> None:
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


def separable(rows: int, scale: float) -> tuple[Tensor, Tensor]:
    target = torch.arange(rows) % 3
    noise = torch.rand(rows, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return scale * (torch.eye(3, dtype=torch.float64)[target] + noise / 2), target


def test_rows_without_errors_get_a_temperature_that_falls_with_their_number() -> None:
    few, more, many = (fit_temperature(*separable(rows, 2.0), None) for rows in (10, 100, 10_000))
    assert LOWEST < many < more < few < 1
    assert few > 0.9
    assert fit_temperature(*separable(1000, 0.01), None) == pytest.approx(LOWEST)


def test_logits_no_better_than_chance_get_the_highest_temperature() -> None:
    logits, target = drawn(300, 3, 50.0)
    assert fit_temperature(logits, (target + 1) % 3, None) == pytest.approx(HIGHEST)


@pytest.mark.parametrize("value", [0.0, torch.nan, torch.inf])
def test_logits_without_information_stay(value: float) -> None:
    assert fit_temperature(torch.full((100, 3), value), torch.arange(100) % 3, None) == 1.0


def test_neither_the_order_of_rows_nor_the_precision_of_logits_matters() -> None:
    logits, target = drawn(300, 10, 2.5)
    order = torch.randperm(300, generator=torch.Generator().manual_seed(0))
    fitted = fit_temperature(logits, target, None)
    assert fit_temperature(logits[order], target[order], None) == pytest.approx(fitted, rel=1e-9)
    assert fit_temperature(logits.float(), target, None) == pytest.approx(fitted, rel=1e-5)


@pytest.mark.usefixtures("full_speed")
@pytest.mark.parametrize("noise", [0, 5])
def test_the_log_loss_of_its_own_rows_never_rises(noise: int) -> None:
    for rows in (3, 30, 200):
        for temperature in (0.3, 0.9, 1.0, 1.2, 5.0):
            for seed in range(6):
                logits, target = drawn(rows, 2 + seed % 3, temperature, seed)
                target[: rows * noise // 20] = 0
                fitted = fit_temperature(logits, target, None)
                assert log_loss(logits, target, fitted) <= log_loss(logits, target, 1.0)
