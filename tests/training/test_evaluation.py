import numpy as np
import pytest
import torch
from support import config

from mlplab.data.loader import Loader
from mlplab.nets import Encoder, Linear, Network
from mlplab.training.evaluation import Evaluation
from mlplab.training.losses import build_loss

ROWS = (130, 7, 64, 130)


@pytest.mark.parametrize("batch", [4096, 50])
def test_members_with_parts_of_other_lengths_are_scored_by_their_own_rows(batch: int) -> None:
    x, y = torch.randn(200, 3), torch.randn(200, 1, dtype=torch.float64)
    network = Network(Encoder.identity(4, 3, 1), Linear(3, 1, seeds=range(4)))
    rows = [torch.randperm(200)[:count] for count in ROWS]
    evaluation = Evaluation(build_loss([config().loss] * 4), ROWS, "val")
    with torch.no_grad():
        for _ in range(2):  # it starts afresh after each time
            for each in Loader(x, y, rows, batch, multiple=64):
                evaluation.add(network, each)
            values = evaluation.take(network)
        for member, own in enumerate(rows):
            predicted = network(x[own].expand(4, -1, -1))[member, :, 0].numpy()
            error = predicted - y[own, 0].numpy()
            assert values["val/rmse"][member].item() == pytest.approx(np.sqrt(np.mean(error**2)))
            assert values["val/mae"][member].item() == pytest.approx(np.mean(np.abs(error)))
            assert values["val/loss"][member].item() == pytest.approx(np.mean(error**2), rel=1e-5)
            r2 = 1 - np.mean(error**2) / np.var(y[own, 0].numpy())
            assert values["val/r2"][member].item() == pytest.approx(r2)
