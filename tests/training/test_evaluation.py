"""Validation and test rows: each member is scored by its own, in batches that are padded."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from contracts import assert_member_independent
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score
from support import config

from mlplab.config.metrics import CLASSIFICATION
from mlplab.data.batches.loader import Loader
from mlplab.data.schema import Schema
from mlplab.models import FeatureLayout, Linear, Network, NetworkPlan, Preprocessing
from mlplab.models.targets import ClassProbabilities
from mlplab.training.scoring.losses import build_loss
from mlplab.training.scoring.scores import Evaluation, Values

CONFIG = config("model=linear", "model/preprocessing=none", "loss=mse")
COUNTS = (130, 7, 64, 130)
GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(200, 3, generator=GENERATOR)
Y = torch.randn(200, 5, dtype=torch.float64, generator=GENERATOR)
WEIGHT = torch.rand(200, 1, generator=GENERATOR) * (torch.arange(200) % 5 > 0).unsqueeze(1)
ROWS_OF_MEMBERS = [torch.randperm(200, generator=GENERATOR)[:count] for count in COUNTS]
CLASSES = 3
NUMBERS = torch.arange(200).remainder(CLASSES).double().unsqueeze(1)
CLASS_WEIGHTS = torch.tensor([1.5, 0.5, 1], dtype=torch.float64)


def network(members: Sequence[int], outputs: int, classes: int = 0) -> Network:
    """Of classes, each member has a temperature of its own."""
    layout = FeatureLayout((0,) * 3, (False,) * 3, 1 if classes else outputs, classes)
    weights = CLASS_WEIGHTS.expand(len(members), 1, CLASSES).clone() if classes else None
    models = [CONFIG.model] * len(members)
    preprocessing = Preprocessing(NetworkPlan(models, members, layout, torch.float32, class_weight=weights))
    if isinstance(preprocessing.target_transform, ClassProbabilities):
        preprocessing.target_transform.temperature[:, 0, 0] = 1 + torch.tensor(members, dtype=torch.float64)
    return Network(preprocessing, Linear(3, outputs, seeds=members))


def evaluated(
    members: Sequence[int], y: torch.Tensor, weight: torch.Tensor | None, batch: int = 4096, classes: int = 0
) -> tuple[Values, np.ndarray]:
    """The scores, and the predictions, with padding."""
    rows, targets = [ROWS_OF_MEMBERS[member] for member in members], tuple(f"y{n}" for n in range(y.shape[1]))
    section = config("loss=cross_entropy", "loss.label_smoothing=0").loss if classes else CONFIG.loss
    schema = Schema((), targets, tuple("abc"[:classes]))
    evaluation = Evaluation(build_loss([section] * len(members)), rows, schema, [0.5] * len(rows))
    stack = network(members, classes or y.shape[1], classes)
    for _ in range(2):  # the second time after a reset
        batches = Loader(X, y, rows, batch, multiple=64, row_weight=weight)
        scored = evaluation.score(stack, batches)
    return scored


def of_member(member: int, outputs: int, classes: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """The rows of a member, and what it outputs for them alone."""
    rows = ROWS_OF_MEMBERS[member]
    with torch.no_grad():
        return rows, network([member], outputs, classes).forward_scaled(X[rows].unsqueeze(0))[0].double()


@pytest.mark.parametrize("batch", [4096, 50])
@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize("targets", [1, 2])
def test_members_with_different_numbers_of_rows_are_scored_by_their_own(
    batch: int, weight: torch.Tensor | None, targets: int
) -> None:
    values, _ = evaluated(range(4), Y[:, :targets], weight, batch)
    for member in range(4):
        rows, z = of_member(member, targets)
        predicted, target = z.numpy(), Y[rows, :targets].numpy()
        counts = np.ones(len(rows)) if weight is None else weight[rows, 0].double().numpy()
        error, mean = predicted - target, np.average(target, 0, counts)
        squared, spread = (np.average(each**2, 0, counts) for each in (error, target - mean))
        absolute = np.average(np.abs(error), 0, counts)
        expected = {"rmse": np.sqrt(squared), "mae": absolute, "r2": 1 - squared / spread}
        for name, each in expected.items():
            assert values[name][member].item() == pytest.approx(each.mean(), abs=1e-6)
            for number in range(targets) if targets > 1 else ():
                assert values[f"{name}/y{number}"][member].item() == pytest.approx(each[number], abs=1e-6)
        assert values["loss"][member].item() == pytest.approx(squared.mean(), rel=1e-5)
    assert len(values) == (4 if targets == 1 else 4 + 3 * targets)


@pytest.mark.parametrize("batch", [4096, 50])
@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_classes_are_scored_at_each_members_temperature(batch: int, weight: torch.Tensor | None) -> None:
    values, kept = evaluated(range(4), NUMBERS, weight, batch, CLASSES)
    assert set(values) == {"loss", *CLASSIFICATION}
    assert kept.shape[1] == 192
    for member in range(4):
        rows, logits = of_member(member, CLASSES, CLASSES)
        p, y = torch.softmax(logits / (1 + member), 1).numpy(), NUMBERS[rows, 0].numpy()
        np.testing.assert_allclose(kept[member, : len(rows)], p, rtol=1e-6)
        counts = np.ones(len(rows)) if weight is None else weight[rows, 0].double().numpy()
        used = counts > 0
        scored = {"sample_weight": counts[used], "labels": range(CLASSES)}
        expected = {
            "log_loss": log_loss(y[used], p[used], **scored),
            "accuracy": accuracy_score(y[used], p[used].argmax(1), sample_weight=counts[used]),
            "auroc": roc_auc_score(y[used], p[used], multi_class="ovr", **scored),
        }
        for name, each in expected.items():
            assert values[name][member].item() == pytest.approx(each, abs=1e-6), name
        losses = torch.nn.functional.cross_entropy(logits, NUMBERS[rows, 0].long(), reduction="none")
        weighted = CLASS_WEIGHTS[NUMBERS[rows, 0].long()].numpy() * losses.numpy()
        assert values["loss"][member].item() == pytest.approx(np.average(weighted, weights=counts), rel=1e-5)


@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize(("y", "classes"), [(Y[:, :2], 0), (NUMBERS, CLASSES)], ids=["numbers", "classes"])
def test_a_member_does_not_depend_on_the_others(
    weight: torch.Tensor | None, y: torch.Tensor, classes: int
) -> None:
    assert_member_independent(lambda members: evaluated(members, y, weight, classes=classes)[0], 4)
