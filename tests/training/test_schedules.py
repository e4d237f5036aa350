import math
from collections.abc import Sequence

import pytest
import torch
from support import config
from torch import nn

from mlplab.config import Schedule
from mlplab.training.optimization.schedules import can_judge_progress, step_factors


def schedules(*settings: list[str]) -> list[Schedule]:
    return [config(*each).scheduler for each in settings]


def at(progress: float, ours: Sequence[Schedule], epoch: int = 0) -> list[float]:
    return step_factors(ours, torch.tensor([progress], dtype=torch.float64), epoch)[0, 0].tolist()


def test_cosine_is_torchs() -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=50, eta_min=0.1)
    ours = schedules(["scheduler=cosine", "scheduler.final_factor=0.1"])
    for factor in step_factors(ours, torch.arange(50, dtype=torch.float64) / 50, 0)[0, :, 0].tolist():
        assert factor == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)
        optimizer.step()
        theirs.step()


def test_each_cycle_of_coslog_is_a_wave_twice_as_long() -> None:
    ours = schedules(["scheduler=coslog"], ["scheduler=coslog", "scheduler.cycles=2"])
    for progress in (0.0, 1 / 15, 0.3, 0.7):
        by_hand = [(1 - math.cos(2 * math.pi * math.log2(1 + n * progress))) / 2 for n in (15, 3)]
        assert at(progress, ours) == pytest.approx(by_hand, rel=1e-12, abs=1e-12)


def test_flat_cos_falls_in_the_second_half_of_training() -> None:
    ours = schedules(["scheduler=constant", "scheduler.regularization=flat_cos"], ["scheduler=cosine"])
    progress = torch.tensor([0, 0.25, 0.5, 0.75, 0.9, 1], dtype=torch.float64)
    _, regularization = step_factors(ours, progress, 0)
    expected = [1, 1, 1, 0.5, (1 + math.cos(math.pi * 0.8)) / 2, 0]
    assert regularization[:, 0].tolist() == pytest.approx(expected, abs=1e-12)
    assert regularization[:, 1].tolist() == [1] * 6
    assert len(step_factors(ours[1:], progress, 0)) == 1


def test_progress_is_judged_at_ends_of_cycles_and_before_steps() -> None:
    names = (["scheduler=coslog"], ["scheduler=step", "scheduler.step_size=9"], ["scheduler=cosine"])
    told = [
        [epoch for epoch in range(1, 31) if can_judge_progress(each, epoch, 30)] for each in schedules(*names)
    ]
    assert told == [[2, 6, 14, 30], [9, 18, 27], [*range(1, 31)]]


def test_a_warmup_is_linear_the_cosine_spans_the_rest_and_steps_count_epochs() -> None:
    ours = schedules(["scheduler=cosine", "scheduler.warmup=0.2"], ["scheduler=cosine"])
    for progress, expected in ((0.0, [0, 1]), (0.1, [0.5, 0.97553]), (0.6, [0.5, 0.34549])):
        assert at(progress, ours) == pytest.approx(expected, abs=1e-5)
    steps = schedules(["scheduler=step", "scheduler.step_size=2", "scheduler.gamma=0.5"])
    assert [at(0.0, steps, epoch) for epoch in range(5)] == [[1], [1], [0.5], [0.5], [0.25]]
