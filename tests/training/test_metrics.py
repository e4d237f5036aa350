import numpy as np
import torch
from torchmetrics import R2Score

from mlplab.training.metrics import R2

GENERATOR = torch.Generator().manual_seed(0)


def data(rows: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    target = torch.randn(rows, 2, dtype=torch.float64, generator=GENERATOR)
    return target + 0.3 * torch.randn(rows, 2, dtype=torch.float64, generator=GENERATOR), target


def test_r2_is_torchmetrics_over_batches() -> None:
    predicted, target = data()
    ours, theirs = R2(2), R2Score(multioutput="raw_values")
    for rows in (slice(0, 7), slice(7, 40)):
        ours.update(predicted[rows], target[rows])
        theirs.update(predicted[rows], target[rows])
    torch.testing.assert_close(ours.compute(), theirs.compute())


def test_r2_does_not_depend_on_the_unit() -> None:
    predicted, target = data()
    small, large = R2(2), R2(2)
    small.update(predicted * 1e-6, target * 1e-6)
    large.update(predicted * 1e6, target * 1e6)
    np.testing.assert_allclose(small.compute(), large.compute())
    theirs = R2Score(multioutput="raw_values")
    theirs.update(predicted * 1e-6, target * 1e-6)
    assert theirs.compute().tolist() == [1, 1]  # the reason why R2 is here


def test_r2_of_a_target_that_does_not_vary_is_nan() -> None:
    metric = R2(1)
    metric.update(torch.zeros(3, 1, dtype=torch.float64), torch.ones(3, 1, dtype=torch.float64))
    assert metric.compute().isnan().all()
