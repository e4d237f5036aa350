import warnings

import pytest
import torch
from support import config
from torch import nn

from mlplab.training.schedules import Schedule, build_schedule


def schedule(*settings: list[str]) -> Schedule:
    return build_schedule([config(*each).scheduler for each in settings])


def test_constant() -> None:
    assert schedule(["scheduler=constant"], ["scheduler=constant"])(0.7, 3).tolist() == [1, 1]


def test_cosine_is_torchs() -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=50, eta_min=0.1)
    ours = schedule(["scheduler=cosine", "scheduler.final=0.1"])
    for step in range(50):
        assert ours(step / 50, 0).item() == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-5)
        optimizer.step()
        theirs.step()


def test_warmup_rises_in_a_line_and_the_cosine_spans_the_rest() -> None:
    ours = schedule(["scheduler=cosine", "scheduler.warmup=0.2"], ["scheduler=cosine"])
    assert ours(0.0, 0).tolist() == pytest.approx([0, 1])
    assert ours(0.1, 0)[0].item() == pytest.approx(0.5)
    assert ours(0.2, 0)[0].item() == pytest.approx(1)
    assert ours(0.6, 0).tolist() == pytest.approx([0.5, 0.3454915], rel=1e-5)
    assert ours(1.0, 0).tolist() == pytest.approx([0, 0], abs=1e-6)


def test_step() -> None:
    ours = schedule(
        ["scheduler=step", "scheduler.every=2", "scheduler.factor=0.5"],
        ["scheduler=step", "scheduler.every=3", "scheduler.factor=0.1"],
    )
    assert [ours(0.0, epoch).tolist() for epoch in range(5)] == [
        pytest.approx(pair) for pair in ([1, 1], [1, 1], [0.5, 1], [0.5, 0.1], [0.25, 0.1])
    ]


def test_plateau_is_torchs() -> None:
    patience, factor = 2, 0.5
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, patience=patience, factor=factor, threshold=0.0, min_lr=0.0, eps=0.0
    )
    ours = schedule(["scheduler=plateau", f"scheduler.patience={patience}", f"scheduler.factor={factor}"])
    values = [5, 4, 4, 4, 4, 3, 3.5, 3, 3, 3, 3, 3, 2, 9, 9, 9, 9, 9, 9, 1]
    for value in values:
        ours.observe(torch.tensor([float(value)]))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it misses an optimizer step before it
            theirs.step(value)
        assert ours(0.0, 0).item() == pytest.approx(optimizer.param_groups[0]["lr"])
