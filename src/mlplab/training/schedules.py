"""Learning-rate schedules: factors of each member's learning rate."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float64
from torch import Tensor

from mlplab import config

Progress = Float64[Tensor, " step"]
"""Fraction of all steps completed before each step of an epoch."""

Schedule = config.ConstantSchedule | config.CosineSchedule | config.StepSchedule


def lr_factors(
    schedules: Sequence[Schedule], progress: Progress, epoch: int
) -> Float64[Tensor, "step member"]:
    """The factors of each member's learning rate for the steps of an epoch, which is counted from 0."""
    # Each schedule by itself: the last bit of a cosine may depend on its position in a tensor.
    distinct = {schedule: _factors(schedule, progress, epoch) for schedule in dict.fromkeys(schedules)}
    return torch.stack([distinct[schedule] for schedule in schedules], 1)


def _factors(schedule: Schedule, progress: Progress, epoch: int) -> Progress:
    match schedule:
        case config.CosineSchedule():
            return cosine(progress, schedule.warmup, schedule.final_factor)
        case config.StepSchedule():
            return torch.full_like(progress, schedule.gamma ** (epoch // schedule.step_size))
        case config.ConstantSchedule():
            return torch.ones_like(progress)


def cosine(progress: Progress, warmup: float, final: float) -> Progress:
    """A linear rise over the fraction `warmup`, then half a cosine from 1 to `final` (Loshchilov & Hutter
    2017, equation 5, without restarts)."""
    fall = ((progress - warmup) / (1 - warmup)).clamp(min=0)
    factors = final + (1 - final) * (1 + torch.cos(math.pi * fall)) / 2
    return torch.where(progress < warmup, progress / warmup, factors) if warmup else factors
