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
from mlplab.training.scoring.evaluation import Evaluation, Values
from mlplab.training.scoring.losses import build_loss

CONFIG = config("model=linear", "model/preprocessing=none", "loss=mse")
COUNTS = (130, 7, 64, 130)
GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(200, 3, generator=GENERATOR)
Y = torch.randn(200, 5, dtype=torch.float64, generator=GENERATOR)
WEIGHT = torch.rand(200, 1, generator=GENERATOR) * (torch.arange(200) % 5 > 0).unsqueeze(1)
ROWS_OF_MEMBERS = [torch.randperm(200, generator=GENERATOR)[:count] for count in COUNTS]


def network(members: Sequence[int], targets: int) -> Network:
    layout = FeatureLayout((0,) * 3, (False,) * 3, targets)
    preprocessing = Preprocessing(NetworkPlan([CONFIG.model] * len(members), members, layout, torch.float32))
    return Network(preprocessing, Linear(3, targets, seeds=members))


def evaluated(members: Sequence[int], y: torch.Tensor, weight: torch.Tensor | None, batch: int) -> Values:
    stack, rows = network(members, y.shape[1]), [ROWS_OF_MEMBERS[member] for member in members]
    schema = Schema((), tuple(f"y{number}" for number in range(y.shape[1])))
    loss = build_loss([CONFIG.loss] * len(members))
    evaluation = Evaluation(loss, rows, schema, [0.5] * len(rows))
    transform = stack.preprocessing.target_transform
    with torch.no_grad():
        for _ in range(2):  # the second time after a reset
            for each in Loader(X, y, rows, batch, multiple=64, row_weight=weight):
                evaluation.add(stack.forward_scaled(each.x), each, transform)
            values = evaluation.compute_and_reset(transform)
    return values


@pytest.mark.parametrize("batch", [4096, 50])
@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize("targets", [1, 2])
def test_members_with_different_numbers_of_rows_are_scored_by_their_own(
    batch: int, weight: torch.Tensor | None, targets: int
) -> None:
    y = Y[:, :targets]
    values = evaluated(range(4), y, weight, batch)
    for member, rows in enumerate(ROWS_OF_MEMBERS):
        with torch.no_grad():
            predicted = network([member], targets)(X[rows].unsqueeze(0))[0].numpy()
        target = y[rows].numpy()
        counts = np.ones(len(rows)) if weight is None else weight[rows, 0].double().numpy()
        error = predicted - target
        mean = np.average(target, 0, counts)
        squared, spread = (np.average(each**2, 0, counts) for each in (error, target - mean))
        expected = {
            "rmse": np.sqrt(squared),
            "mae": np.average(np.abs(error), 0, counts),
            "r2": 1 - squared / spread,
        }
        for name, each in expected.items():
            assert values[name][member].item() == pytest.approx(each.mean(), abs=1e-6)
            for number in range(targets) if targets > 1 else ():
                assert values[f"{name}/y{number}"][member].item() == pytest.approx(each[number], abs=1e-6)
        assert values["loss"][member].item() == pytest.approx(squared.mean(), rel=1e-5)
    assert len(values) == (4 if targets == 1 else 4 + 3 * targets)


CLASSES = 3
NUMBERS = torch.arange(200).remainder(CLASSES).double().unsqueeze(1)
CLASS_WEIGHTS = torch.tensor([1.5, 0.5, 1], dtype=torch.float64)


def classifier(members: Sequence[int]) -> Network:
    """Each member with a temperature of its own."""
    layout = FeatureLayout((0,) * 3, (False,) * 3, 1, CLASSES)
    weights = CLASS_WEIGHTS.expand(len(members), 1, CLASSES).clone()
    models = [CONFIG.model] * len(members)
    plan = NetworkPlan(models, members, layout, torch.float32, class_weight=weights)
    preprocessing = Preprocessing(plan)
    assert isinstance(preprocessing.target_transform, ClassProbabilities)
    preprocessing.target_transform.temperature[:, 0, 0] = 1 + torch.tensor(members, dtype=torch.float64)
    return Network(preprocessing, Linear(3, CLASSES, seeds=members))


def classified(
    members: Sequence[int], weight: torch.Tensor | None, batch: int = 4096
) -> tuple[Values, torch.Tensor]:
    """The metrics, and the probabilities of each row, with padding."""
    stack, rows = classifier(members), [ROWS_OF_MEMBERS[member] for member in members]
    loss = build_loss([config("loss=cross_entropy", "loss.label_smoothing=0").loss] * len(members))
    schema = Schema((), ("y",), tuple("abc"))
    evaluation = Evaluation(loss, rows, schema, [0.5] * len(rows))
    transform = stack.preprocessing.target_transform
    with torch.no_grad():
        for _ in range(2):  # the second time after a reset
            loader = Loader(X, NUMBERS, rows, batch, multiple=64, row_weight=weight)
            parts = [(stack.forward_scaled(each.x), each) for each in loader]
            for z, each in parts:
                evaluation.add(z, each, transform)
            values = evaluation.compute_and_reset(transform)
    return values, transform.inverse_transform(torch.cat([z for z, _ in parts], 1))


@pytest.mark.parametrize("batch", [4096, 50])
@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_classes_are_scored_at_each_members_temperature(batch: int, weight: torch.Tensor | None) -> None:
    values, kept = classified(range(4), weight, batch)
    assert set(values) == {"loss", *CLASSIFICATION}
    for member, rows in enumerate(ROWS_OF_MEMBERS):
        with torch.no_grad():
            logits = classifier([member]).forward_scaled(X[rows].unsqueeze(0))[0].double()
        p, y = torch.softmax(logits / (1 + member), 1).numpy(), NUMBERS[rows, 0].numpy()
        np.testing.assert_allclose(kept[member, : len(rows)], p, rtol=1e-6)
        assert kept.shape[1] == 192
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
        loss = np.average(weighted, weights=counts)
        assert values["loss"][member].item() == pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_a_member_does_not_depend_on_the_others(weight: torch.Tensor | None) -> None:
    assert_member_independent(lambda members: evaluated(members, Y[:, :2], weight, 4096), 4)
    assert_member_independent(lambda members: classified(members, weight)[0], 4)
