from collections.abc import Sequence

import numpy as np
import pytest
import torch
from contracts import assert_member_independent
from support import config

from mlplab.data.loader import Loader
from mlplab.models import FeatureLayout, Linear, Network, build_preprocessing
from mlplab.training.evaluation import Evaluation, Values
from mlplab.training.losses import build_loss

CONFIG = config("model/preprocessing=none")
COUNTS = (130, 7, 64, 130)
GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(200, 3, generator=GENERATOR)
Y = torch.randn(200, 5, dtype=torch.float64, generator=GENERATOR)
WEIGHT = torch.rand(200, 1, generator=GENERATOR) * (torch.arange(200) % 5 > 0).unsqueeze(1)
ROWS_OF_MEMBERS = [torch.randperm(200, generator=GENERATOR)[:count] for count in COUNTS]


def network(members: Sequence[int], targets: int) -> Network:
    layout = FeatureLayout((0,) * 3, (False,) * 3)
    preprocessing = build_preprocessing(
        CONFIG.model.preprocessing, layout, targets, members, torch.float32, None
    )
    return Network(preprocessing, Linear(3, targets, seeds=members))


def evaluated(members: Sequence[int], y: torch.Tensor, weight: torch.Tensor | None, batch: int) -> Values:
    stack, rows = network(members, y.shape[1]), [ROWS_OF_MEMBERS[member] for member in members]
    names = [f"y{number}" for number in range(y.shape[1])]
    loss = build_loss([CONFIG.loss] * len(members))
    evaluation = Evaluation(loss, [len(each) for each in rows], "val", names)
    with torch.no_grad():
        for _ in range(2):  # the second time after a reset
            for each in Loader(X, y, rows, batch, multiple=64, weight=weight):
                evaluation.add(stack, each)
            values = evaluation.compute_and_reset(stack)
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
            assert values[f"val/{name}"][member].item() == pytest.approx(each.mean(), abs=1e-6)
            for number in range(targets) if targets > 1 else ():
                assert values[f"val/{name}/y{number}"][member].item() == pytest.approx(each[number], abs=1e-6)
        assert values["val/loss"][member].item() == pytest.approx(squared.mean(), rel=1e-5)
    assert len(values) == (4 if targets == 1 else 4 + 3 * targets)


@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize("targets", [1, 2, 5])
def test_a_member_does_not_depend_on_the_others(weight: torch.Tensor | None, targets: int) -> None:
    assert_member_independent(lambda members: evaluated(members, Y[:, :targets], weight, 4096), 4)
