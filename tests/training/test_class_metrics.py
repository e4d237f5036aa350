import math

import numpy as np
import pytest
import torch
from contracts import (
    assert_equal_weights_are_none,
    assert_member_independent,
    assert_weight_equals_repetition,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    log_loss,
    roc_auc_score,
)
from torchmetrics.classification import MulticlassCalibrationError

from mlplab.config.metrics import CLASSIFICATION
from mlplab.training.class_metrics import ClassificationMetrics

Metrics = dict[str, torch.Tensor]


def data(members: int, rows: int, classes: int, *, ties: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    source = torch.Generator().manual_seed(rows)
    target = torch.randint(classes, (members, rows, 1), generator=source)
    logits = torch.randn(members, rows, classes, dtype=torch.float64, generator=source)
    logits.scatter_add_(2, target, torch.ones_like(target, dtype=torch.float64))
    return (logits.round() if ties else logits).log_softmax(2), target.double()


def scores(
    log_probabilities: torch.Tensor,
    target: torch.Tensor,
    weight: torch.Tensor | None = None,
    batch: int = 4096,
) -> Metrics:
    metric = ClassificationMetrics(len(target), log_probabilities.shape[2])
    for at in range(0, target.shape[1], batch):
        rows = slice(at, at + batch)
        weights = None if weight is None else weight[:, rows]
        metric.update(log_probabilities[:, rows], target[:, rows], weights)
    # torchmetrics squeezes single numbers
    return {name: value.reshape(len(target)) for name, value in metric.compute().items()}


def rows_of_one_member(
    probabilities: list[list[float]], target: list[int]
) -> tuple[torch.Tensor, torch.Tensor]:
    of_rows = torch.tensor([probabilities], dtype=torch.float64)
    return of_rows.log(), torch.tensor(target, dtype=torch.float64).reshape(1, -1, 1)


def numbers(found: Metrics) -> dict[str, float]:
    return {name: value.item() for name, value in found.items()}


def test_example_by_hand() -> None:
    log_probabilities, target = rows_of_one_member(
        [[0.1, 0.9], [0.4, 0.6], [0.4, 0.6], [0.8, 0.2]], [1, 0, 1, 0]
    )
    found = numbers(scores(log_probabilities, target))
    assert tuple(found) == CLASSIFICATION
    assert found == pytest.approx(
        {
            "log_loss": -math.log(0.9 * 0.4 * 0.6 * 0.8) / 4,
            "accuracy": 3 / 4,
            "balanced_accuracy": (1 / 2 + 1) / 2,
            "f1_macro": (2 / 3 + 4 / 5) / 2,
            "auroc": 3.5 / 4,  # of four pairs, three are in order and one is a tie
            "calibration_error": ((1 - 0.9) + (0.6 + 0.6 - 1) + (1 - 0.8)) / 4,
        }
    )
    metric = ClassificationMetrics(1, 2)
    metric.update(log_probabilities, target, torch.tensor([1.0, 2, 4, 8]).reshape(1, 4, 1))
    assert metric.confusion.tolist() == [[[8, 2], [0, 5]]]


def test_the_first_of_equally_probable_classes_is_predicted() -> None:
    thirds = [[1 / 3] * 3] * 2
    metric = ClassificationMetrics(1, 3)
    metric.update(*rows_of_one_member(thirds, [0, 2]))
    assert metric.confusion.tolist() == [[[1, 0, 0], [0, 0, 0], [1, 0, 0]]]


def test_a_confidence_of_1_is_in_the_last_bin() -> None:
    rows = rows_of_one_member([[1, 0], [0.95, 0.05]], [1, 0])
    assert numbers(scores(*rows))["calibration_error"] == pytest.approx((1 + 0.95 - 1) / 2)


def test_log_loss_is_not_clipped() -> None:
    target = torch.zeros(1, 1, 1, dtype=torch.float64)
    improbable = torch.tensor([[[-100.0, 0]]], dtype=torch.float64)
    assert numbers(scores(improbable, target))["log_loss"] == 100


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true:UserWarning")
@pytest.mark.parametrize("classes", range(2, 9))
def test_metrics_are_those_of_scikit_learn(classes: int) -> None:
    compared = 0
    for seed in range(30):
        random = np.random.default_rng([classes, seed])
        rows, present = int(random.integers(1, 80)), int(random.integers(1, classes + 1))
        if seed % 3:
            rows, present = rows + 5 * classes, classes
        log_probabilities, _ = data(1, rows, classes, ties=seed % 2 == 0)
        y = random.permutation(classes)[:present][random.integers(present, size=rows)]
        weight = random.choice([0, 0.3, 1, 2.5], size=rows) if seed % 4 > 1 else None
        found = numbers(
            scores(
                log_probabilities,
                torch.tensor(y, dtype=torch.float64).reshape(1, -1, 1),
                None if weight is None else torch.tensor(weight).reshape(1, -1, 1),
                batch=17,
            )
        )
        p = log_probabilities[0].exp().numpy()
        if weight is not None:
            p, y, weight = p[weight > 0], y[weight > 0], weight[weight > 0]
        predicted, labels = p.argmax(1), list(range(classes))
        if len(y) == 0:
            assert np.isnan(list(found.values())).all()
            continue
        expected = {
            "log_loss": log_loss(y, p, sample_weight=weight, labels=labels),
            "accuracy": accuracy_score(y, predicted, sample_weight=weight),
            "balanced_accuracy": balanced_accuracy_score(y, predicted, sample_weight=weight),
            "f1_macro": f1_score(y, predicted, average="macro", sample_weight=weight),
            "auroc": math.nan,
        }
        if len(set(y)) == classes:
            compared += 1
            scored = p[:, 1] if classes == 2 else p
            expected["auroc"] = roc_auc_score(y, scored, multi_class="ovr", sample_weight=weight)
        found.pop("calibration_error")
        assert found == pytest.approx(expected, rel=0, abs=1e-10, nan_ok=True), seed
    assert compared > 15


def test_confusion_is_that_of_scikit_learn() -> None:
    log_probabilities, target = data(2, 200, 4)
    weight = torch.rand(2, 200, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    metric = ClassificationMetrics(2, 4)
    metric.update(log_probabilities, target, weight)
    for member, found in enumerate(metric.confusion):
        expected = confusion_matrix(
            target[member, :, 0], log_probabilities[member].argmax(1), sample_weight=weight[member, :, 0]
        )
        np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("rows", [1, 30, 3000])
def test_calibration_error_is_that_of_torchmetrics(rows: int, classes: int) -> None:
    log_probabilities, target = data(1, rows, classes)
    theirs = MulticlassCalibrationError(classes, n_bins=15, norm="l1")
    theirs.update(log_probabilities[0].exp(), target[0, :, 0].long())
    found = numbers(scores(log_probabilities, target))["calibration_error"]
    assert found == pytest.approx(theirs.compute().item(), abs=1e-6)


@pytest.mark.parametrize(
    ("rows", "weighted", "classes"),
    [
        (1, True, 2),
        (130, False, 2),
        (130, True, 2),
        (130, False, 5),
        (130, True, 5),
        (40_000, True, 2),  # torch's sums over as many rows use several threads
    ],
)
def test_a_member_does_not_depend_on_the_others(rows: int, weighted: bool, classes: int) -> None:
    log_probabilities, target = data(3, rows, classes)
    log_probabilities[1] = log_probabilities[1].round(decimals=1)  # only this one has ties
    weight = torch.rand(3, rows, 1, generator=torch.Generator().manual_seed(0)) if weighted else None

    def compute(members: list[int]) -> Metrics:
        return scores(
            log_probabilities[members], target[members], None if weight is None else weight[members], rows
        )

    assert_member_independent(compute, 3)


@settings(max_examples=40)
@given(
    st.lists(st.integers(0, 4), min_size=2, max_size=24).filter(any),
    st.integers(1, 9),
    st.integers(2, 4),
    st.booleans(),
)
def test_weight_equals_repetition(weights: list[int], batch: int, classes: int, ties: bool) -> None:
    log_probabilities, target = data(1, len(weights), classes, ties=ties)

    def compute(rows: torch.Tensor, weight: torch.Tensor | None) -> Metrics:
        reshaped = None if weight is None else weight.reshape(1, -1, 1)
        return scores(log_probabilities[:, rows], target[:, rows], reshaped, batch)

    assert_weight_equals_repetition(compute, weights)
    assert_equal_weights_are_none(compute, len(weights))


def test_metrics_do_not_depend_on_batches() -> None:
    log_probabilities, target = data(2, 100, 3)
    weight = torch.rand(2, 100, 1, generator=torch.Generator().manual_seed(0))
    expected = scores(log_probabilities, target, weight)
    for batch in (1, 7, 99):
        for name, value in scores(log_probabilities, target, weight, batch).items():
            assert torch.equal(value, expected[name]), name


@pytest.mark.parametrize("prediction", [-math.inf, math.nan])
def test_rows_of_weight_0_do_not_count(prediction: float) -> None:
    log_probabilities, target = data(2, 40, 3)
    weight = torch.ones(2, 40, 1)
    weight[0, :5] = 0
    changed = log_probabilities.clone()
    changed[0, :5] = prediction
    expected = scores(log_probabilities, target, weight)
    for name, value in scores(changed, target, weight).items():
        assert value.isfinite().all()
        assert torch.equal(value, expected[name]), name


def test_without_rows_all_metrics_are_nan() -> None:
    log_probabilities, target = data(2, 40, 3)
    weight = torch.ones(2, 40, 1)
    weight[0] = 0
    for value in scores(log_probabilities, target, weight).values():
        assert value.isnan().tolist() == [True, False]


def test_after_a_prediction_of_nan_all_metrics_are_nan() -> None:
    log_probabilities, target = data(2, 40, 3)
    log_probabilities[0, 7] = math.nan
    for value in scores(log_probabilities, target).values():
        assert value.isnan().tolist() == [True, False]


@pytest.mark.parametrize("classes", [2, 3])
def test_auroc_is_nan_if_a_class_has_no_row(classes: int) -> None:
    log_probabilities, target = data(2, 40, classes)
    weight = torch.ones(2, 40, 1)
    weight[0][target[0] == 1] = 0
    found = scores(log_probabilities, target, weight)
    assert found.pop("auroc").isnan().tolist() == [True, False]
    assert torch.stack(list(found.values())).isfinite().all()


def test_reset_forgets_all_rows() -> None:
    metric = ClassificationMetrics(2, 3)
    for rows in (40, 50):
        log_probabilities, target = data(2, rows, 3)
        metric.update(log_probabilities[:, :30], target[:, :30])
        metric.compute()
        metric.update(log_probabilities[:, 30:], target[:, 30:])
        for name, value in scores(log_probabilities, target).items():
            assert torch.equal(metric.compute()[name], value), name
        metric.reset()
        assert not metric.confusion.any()
