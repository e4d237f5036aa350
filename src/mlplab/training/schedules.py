"""What changes from step to step: learning rates, which are factors of each member's own, and counts."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from mlplab import config

Progress = Float64[Tensor, " step"]
"""Fraction of all steps completed before each step of an epoch."""

AVERAGE_EXPONENT = 8
"""The exponent η of the weight average: a step counts by about the η-th power of its number."""

StepValues = tuple[int | Tensor, float | Tensor, Sequence[float] | Tensor]
"""A step's number, its share in the weight average, and each member's learning rate."""

TENSOR_DEVICES = {"cuda"}
"""Types of devices where these values are tensors, which CUDA graphs can read (`step_graphs.py`)."""

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


def average_share(number: Any) -> Any:
    """Of the weights after a step, in their average."""
    return (AVERAGE_EXPONENT + 1) / (number + AVERAGE_EXPONENT)


def step_tensors(
    lr: Float64[Tensor, "step member"], before: int, weights: Float[Tensor, "member weight"]
) -> list[StepValues]:
    """The values of an epoch's steps, before which so many have been made, as tensors where the weights are.

    The kernels of the updates read the number and the learning rate as float32 there.
    """
    numbers, single = torch.arange(before + 1, before + 1 + len(lr), dtype=torch.float64), torch.float32
    columns = (numbers, single), (average_share(numbers), weights.dtype), (lr, single)
    number, share, rates = (values.to(weights.device, dtype, non_blocking=True) for values, dtype in columns)
    return [*zip(number, share, rates, strict=True)]
