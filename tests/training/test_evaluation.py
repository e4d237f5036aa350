"""Validation and test rows: each member is scored by its own, in batches that are padded."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss
from support import config
from torch import Tensor

from mlplab.config.metrics import CLASSIFICATION
from mlplab.data.batches.loader import Loader
from mlplab.data.schema import Schema
from mlplab.models import FeatureLayout, Linear, Network, NetworkPlan, Preprocessing
from mlplab.training.scoring.losses import build_loss
from mlplab.training.scoring.scores import Evaluation, Values

MODEL = config("model=linear", "model/preprocessing=none").model
GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(200, 3, generator=GENERATOR)
Y = torch.randn(200, 2, dtype=torch.float64, generator=GENERATOR)
NUMBERS = torch.arange(200).remainder(3).double().unsqueeze(1)
WEIGHT = torch.rand(200, 1, generator=GENERATOR) * (torch.arange(200) % 5 > 0).unsqueeze(1)
ROWS = [torch.randperm(200, generator=GENERATOR)[:count] for count in (130, 7, 64, 130)]
CLASS_WEIGHTS = torch.tensor([1.5, 0.5, 1], dtype=torch.float64)

pytestmark = [pytest.mark.parametrize("batch", [4096, 50]), pytest.mark.parametrize("weight", [None, WEIGHT])]


def network(members: Sequence[int], outputs: int, classes: int) -> Network:
    layout = FeatureLayout((0,) * 3, (False,) * 3, 1 if classes else outputs, classes)
    weights = CLASS_WEIGHTS.repeat(len(members), 1, 1) if classes else None
    plan = NetworkPlan([MODEL] * len(members), members, layout, torch.float32, class_weight=weights)
    preprocessing = Preprocessing(plan)
    if classes:
        temperature = 1 + torch.tensor(members, dtype=torch.float64)
        preprocessing.target_transform.get_buffer("temperature")[:, 0, 0] = temperature
    return Network(preprocessing, Linear(3, outputs, seeds=members))


def evaluated(
    y: Tensor, weight: Tensor | None, batch: int, classes: int = 0
) -> tuple[Values, np.ndarray, list[Tensor], list[np.ndarray]]:
    """The scores, the predictions, with padding, each member's outputs alone, and the weights of its rows."""
    outputs = classes or y.shape[1]
    schema = Schema((), tuple(f"y{n}" for n in range(y.shape[1])), tuple("abc"[:classes]))
    words = ("loss=cross_entropy", "loss.label_smoothing=0") if classes else ("loss=mse",)
    evaluation = Evaluation(build_loss([config(*words).loss] * 4), ROWS, schema, [0.5] * 4)
    with torch.no_grad():
        for _ in range(2):  # the second time after a reset
            batches = Loader(X, y, ROWS, batch, multiple=64, row_weight=weight)
            scored = evaluation.score(network(range(4), outputs, classes), batches)
        alone = [
            network([member], outputs, classes).forward_scaled(X[rows].unsqueeze(0))[0].double()
            for member, rows in enumerate(ROWS)
        ]
    weights = torch.ones(200, 1) if weight is None else weight
    return *scored, alone, [weights[rows, 0].double().numpy() for rows in ROWS]


def test_members_are_scored_by_their_own_rows(batch: int, weight: Tensor | None) -> None:
    values, _, alone, weights = evaluated(Y, weight, batch)
    for member, (rows, z, counts) in enumerate(zip(ROWS, alone, weights, strict=True)):
        target = Y[rows].numpy()
        error, away = z.numpy() - target, target - np.average(target, 0, counts)
        squared, spread = (np.average(each**2, 0, counts) for each in (error, away))
        absolute = np.average(np.abs(error), 0, counts)
        expected = {"rmse": np.sqrt(squared), "mae": absolute, "r2": 1 - squared / spread}
        for name, each in expected.items():
            found = [values[key][member].item() for key in (name, f"{name}/y0", f"{name}/y1")]
            assert found == pytest.approx([each.mean(), *each], abs=1e-6)
        assert values["loss"][member].item() == pytest.approx(squared.mean(), rel=1e-5)


def test_classes_are_scored_at_each_members_temperature(batch: int, weight: Tensor | None) -> None:
    values, kept, alone, weights = evaluated(NUMBERS, weight, batch, 3)
    assert set(values) == {"loss", *CLASSIFICATION}
    for member, (rows, logits, counts) in enumerate(zip(ROWS, alone, weights, strict=True)):
        p, y = torch.softmax(logits / (1 + member), 1), NUMBERS[rows, 0].long()
        np.testing.assert_allclose(kept[member, : len(rows)], p, rtol=1e-6)
        expected = log_loss(y, p, sample_weight=counts, labels=range(3))
        assert values["log_loss"][member].item() == pytest.approx(expected, abs=1e-6)
        losses = torch.nn.functional.cross_entropy(logits, y, reduction="none")
        expected = np.average(CLASS_WEIGHTS[y] * losses, weights=counts)
        assert values["loss"][member].item() == pytest.approx(expected, rel=1e-5)
