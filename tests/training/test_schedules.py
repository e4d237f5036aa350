import warnings

import pytest
import torch
from contracts import assert_member_independent
from support import config
from torch import nn

from mlplab.training.schedules import Schedules


def schedules(*settings: list[str]) -> Schedules:
    return Schedules([config(*each).scheduler for each in settings])


def at(progress: float, ours: Schedules, epoch: int = 0) -> list[float]:
    return ours.factors(torch.tensor([progress], dtype=torch.float64), epoch)[0].tolist()


def test_constant() -> None:
    assert at(0.7, schedules(["scheduler=constant"], ["scheduler=constant"]), 3) == [1, 1]


def test_cosine_is_torchs() -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=50, eta_min=0.1)
    ours = schedules(["scheduler=cosine", "scheduler.final_factor=0.1"])
    for factor in ours.factors(torch.arange(50, dtype=torch.float64) / 50, 0)[:, 0].tolist():
        assert factor == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)
        optimizer.step()
        theirs.step()


def test_warmup_is_linear_and_the_cosine_spans_the_rest() -> None:
    ours = schedules(["scheduler=cosine", "scheduler.warmup=0.2"], ["scheduler=cosine"])
    assert at(0.0, ours) == pytest.approx([0, 1])
    assert at(0.1, ours)[0] == pytest.approx(0.5)
    assert at(0.2, ours)[0] == pytest.approx(1)
    assert at(0.6, ours) == pytest.approx([0.5, 0.3454915], rel=1e-5)
    assert at(1.0, ours) == pytest.approx([0, 0], abs=1e-6)


def test_step() -> None:
    ours = schedules(
        ["scheduler=step", "scheduler.step_size=2", "scheduler.gamma=0.5"],
        ["scheduler=step", "scheduler.step_size=3", "scheduler.gamma=0.1"],
    )
    assert [at(0.0, ours, epoch) for epoch in range(5)] == [
        pytest.approx(pair) for pair in ([1, 1], [1, 1], [0.5, 1], [0.5, 0.1], [0.25, 0.1])
    ]


def test_plateau_is_torchs() -> None:
    patience, factor = 2, 0.5
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, patience=patience, factor=factor, threshold=0.0, min_lr=0.0, eps=0.0
    )
    ours = schedules(["scheduler=plateau", f"scheduler.patience={patience}", f"scheduler.factor={factor}"])
    values = [5, 4, 4, 4, 4, 3, 3.5, 3, 3, 3, 3, 3, 2, 9, 9, 9, 9, 9, 9, 1]
    for value in values:
        ours.observe(torch.tensor([float(value)], dtype=torch.float64))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it misses an optimizer step before it
            theirs.step(value)
        assert at(0.0, ours) == pytest.approx([optimizer.param_groups[0]["lr"]])


def test_a_member_does_not_depend_on_the_others() -> None:
    kinds = [["scheduler=cosine", "scheduler.warmup=0.1"], ["scheduler=constant"], ["scheduler=step"]] * 2
    progress = torch.arange(23, dtype=torch.float64) / 100
    assert_member_independent(
        lambda members: {"factors": schedules(*(kinds[each] for each in members)).factors(progress, 60).T},
        len(kinds),
    )
