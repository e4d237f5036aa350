from collections.abc import Sequence

import pytest
import torch
from contracts import assert_member_independent
from support import config
from torch import nn

from mlplab.training.schedules import Schedule, lr_factors


def schedules(*settings: list[str]) -> list[Schedule]:
    return [config(*each).scheduler for each in settings]


def at(progress: float, ours: Sequence[Schedule], epoch: int = 0) -> list[float]:
    return lr_factors(ours, torch.tensor([progress], dtype=torch.float64), epoch)[0].tolist()


def test_cosine_is_torchs() -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=50, eta_min=0.1)
    ours = schedules(["scheduler=cosine", "scheduler.final_factor=0.1"])
    for factor in lr_factors(ours, torch.arange(50, dtype=torch.float64) / 50, 0)[:, 0].tolist():
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


def test_a_member_does_not_depend_on_the_others() -> None:
    kinds = [["scheduler=cosine", "scheduler.warmup=0.1"], ["scheduler=constant"], ["scheduler=step"]] * 2
    progress = torch.arange(23, dtype=torch.float64) / 100
    assert_member_independent(
        lambda members: {
            "factors": lr_factors(schedules(*(kinds[each] for each in members)), progress, 60).T
        },
        len(kinds),
    )
