import math
from collections.abc import Sequence
from itertools import product

import contracts
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics
from torch import Tensor
from torchmetrics.classification import MulticlassCalibrationError

from mlplab.data.class_labels import predicted_classes
from mlplab.training.scoring.metrics import build_metrics

Scores = dict[str, Tensor]
TASKS = {"regression": (2, 0), "binary": (1, 2), "multiclass": (1, 5)}  # numbers of targets and of classes


def regression(members: int, rows: int, targets: int = 1) -> tuple[Tensor, Tensor]:
    source = torch.Generator().manual_seed(rows)
    target, noise = torch.randn(2, members, rows, targets, dtype=torch.float64, generator=source)
    return target + 0.3 * noise, target


def classification(members: int, rows: int, classes: int, *, ties: bool = False) -> tuple[Tensor, Tensor]:
    """Logarithms of probabilities, and classes."""
    source = torch.Generator().manual_seed(rows)
    target = torch.randint(classes, (members, rows, 1), generator=source)
    logits = torch.randn(members, rows, classes, dtype=torch.float64, generator=source)
    logits.scatter_add_(2, target, torch.ones_like(target, dtype=torch.float64))
    return (logits.round() if ties else logits).log_softmax(2), target.double()


def drawn(task: str, members: int, rows: int) -> tuple[Tensor, Tensor]:
    targets, classes = TASKS[task]
    return classification(members, rows, classes) if classes else regression(members, rows, targets)


def scores(
    task: str,
    predicted: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    batch: int = 4096,
    thresholds: Sequence[float] = (0.5,),
) -> Scores:
    classes = 0 if task == "regression" else predicted.shape[2]
    metrics = build_metrics(len(target), target.shape[2], classes, thresholds)
    for at in range(0, target.shape[1], batch):
        rows = slice(at, at + batch)
        metrics.update(predicted[:, rows], target[:, rows], None if weight is None else weight[:, rows])
    return {name: value.reshape(len(target), -1) for name, value in metrics.compute().items()}


@pytest.mark.parametrize(
    ("task", "rows"), [("regression", 130), ("multiclass", 130), ("binary", 1), ("binary", 40_000)]
)
def test_a_member_does_not_depend_on_the_others(task: str, rows: int) -> None:
    predicted, target = drawn(task, 3, rows)
    predicted[1] = predicted[1].round(decimals=1)  # only this one has ties
    weight = torch.rand(3, rows, 1, generator=torch.Generator().manual_seed(0))
    batch = max(rows // 2, 1)
    contracts.assert_member_independent(
        lambda members: scores(task, predicted[members], target[members], weight[members], batch), 3
    )


@pytest.mark.parametrize("task", TASKS)
@settings(max_examples=12)
@given(weights=st.lists(st.integers(0, 4), max_size=18), batch=st.integers(1, 9))
def test_weight_equals_repetition(task: str, weights: list[int], batch: int) -> None:
    weights += [1, 2]
    predicted, target = drawn(task, 1, len(weights))

    def compute(rows: Tensor, weight: Tensor | None) -> Scores:
        reshaped = None if weight is None else weight.reshape(1, -1, 1)
        return scores(task, predicted[:, rows], target[:, rows], reshaped, batch)

    contracts.assert_weight_equals_repetition(compute, weights)
    contracts.assert_equal_weights_are_none(compute, len(weights))


@pytest.mark.parametrize(
    ("task", "bad"), [("regression", 1e9), *product(["binary", "multiclass"], [1e9, -math.inf, math.nan])]
)
def test_rows_of_weight_0_do_not_count_and_what_is_undefined_is_nan(task: str, bad: float) -> None:
    predicted, target = drawn(task, 2, 40)
    weight = torch.ones(2, 40, 1)
    weight[0, :5] = 0
    expected = scores(task, predicted, target, weight)
    (target if task == "regression" else predicted)[0, :5] = bad
    for batch in (3, 4096):
        for name, value in scores(task, predicted, target, weight, batch).items():
            torch.testing.assert_close(value, expected[name])
            assert value.isfinite().all()
    weight[0] = 0  # no rows
    of_no_rows, of_bad_rows = scores(task, predicted, target, weight), scores(task, predicted, target)
    for value in [*of_no_rows.values(), *(of_bad_rows.values() if math.isnan(bad) else ())]:
        assert value.isnan()[:, 0].tolist() == [True, False]


def test_r2_does_not_depend_on_the_unit_and_is_nan_for_a_constant() -> None:
    predicted, target = regression(2, 40)
    expected, ones = scores("regression", predicted, target)["r2"], torch.ones(1, 3, 1, dtype=torch.float64)
    for unit, far in ((1e-6, 0), (1e6, 0), (1, 1e7)):
        found = scores("regression", unit * predicted + far, unit * target + far)["r2"]
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert scores("regression", 0 * ones, ones)["r2"].isnan().all()


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true:UserWarning")
@pytest.mark.parametrize("classes", [2, 3, 7])
def test_classification_is_scored_as_by_scikit_learn(classes: int) -> None:
    compared, labels = 0, list(range(classes))
    for seed in range(12):
        random = np.random.default_rng([classes, seed])
        rows, present = int(random.integers(2, 80)), int(random.integers(1, classes + 1))
        if seed % 3:
            rows, present = rows + 5 * classes, classes
        log_probabilities, _ = classification(1, rows, classes, ties=seed % 2 == 0)
        y = random.permutation(classes)[:present][random.integers(present, size=rows)]
        weight = random.choice([0.3, 1, 2.5], size=rows) if seed % 4 > 1 else None
        target = torch.tensor(y, dtype=torch.float64).reshape(1, -1, 1)
        weights = None if weight is None else torch.tensor(weight).reshape(1, -1, 1)
        threshold = (0.5, 0.3)[seed % 2]
        values = scores("multiclass", log_probabilities, target, weights, 17, [threshold])
        found = {name: value.item() for name, value in values.items()}
        p = log_probabilities[0].exp().numpy()
        predicted = predicted_classes(p, threshold)
        weighted = {"sample_weight": weight}
        expected = {
            "log_loss": sklearn_metrics.log_loss(y, p, **weighted, labels=labels),
            "accuracy": sklearn_metrics.accuracy_score(y, predicted, **weighted),
            "balanced_accuracy": sklearn_metrics.balanced_accuracy_score(y, predicted, **weighted),
            "f1_macro": sklearn_metrics.f1_score(y, predicted, average="macro", **weighted),
            **dict.fromkeys(("auroc", "average_precision"), math.nan),
        }
        if len(set(y)) == classes:
            compared += 1
            scored = p[:, 1] if classes == 2 else p
            expected["auroc"] = sklearn_metrics.roc_auc_score(y, scored, multi_class="ovr", **weighted)
            expected["average_precision"] = sklearn_metrics.average_precision_score(y, scored, **weighted)
        error = found.pop("calibration_error")
        assert found == pytest.approx(expected, rel=0, abs=1e-10, nan_ok=True), seed
        if weight is None:
            theirs = MulticlassCalibrationError(classes, n_bins=15, norm="l1")
            theirs.update(log_probabilities[0].exp(), target[0, :, 0].long())
            assert error == pytest.approx(theirs.compute().item(), abs=1e-6)
    assert compared > 6
