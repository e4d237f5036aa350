"""What changes from step to step: factors of each member's learning rate and regularization, and counts."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from mlplab import config
from mlplab.training.progress import Progress

Done = Float64[Tensor, " step"]
"""Fraction of all steps completed before each step of an epoch."""

AVERAGE_EXPONENT = 8
"""The exponent η of the weight average: a step counts by about the η-th power of its number."""

STAGES = 6
"""Stages of training without cycles."""

StepFactors = Float64[Tensor, "factor step member"]
"""Of each member's learning rate in the steps of an epoch, and, unless they are always 1, of its weight decay
and dropout rate."""

StepValues = tuple[Any, ...]
"""A step's number, its share in the weight average, each member's learning rate, and, unless they are always
1, the factors of weight decay and dropout rates."""

TENSOR_DEVICES = {"cuda"}
"""Types of devices where these values are tensors, which CUDA graphs can read (`step_graphs.py`)."""


class Schedules:
    """The schedules of members."""

    def __init__(self, sections: Sequence[config.Schedule]) -> None:
        self.sections = list(sections)
        constant = config.ConstantSchedule(name="constant")
        self.are_constant = all(section == constant for section in sections)

    def factors(self, progress: Progress, *, is_first: bool) -> StepFactors | None:
        """The factors of the steps of the next epoch; None if they are those of the epoch before."""
        if self.are_constant and not is_first:
            return None
        done = progress.epoch * progress.steps + torch.arange(progress.steps, dtype=torch.float64)
        return step_factors(self.sections, done / (progress.max_epochs * progress.steps), progress.epoch)


def step_factors(schedules: Sequence[config.Schedule], progress: Done, epoch: int) -> StepFactors:
    """The factors of each member's schedule for the steps of an epoch, which is counted from 0."""
    distinct = dict.fromkeys(schedules)
    changes = any(schedule.regularization != "constant" for schedule in distinct)

    def factors(schedule: config.Schedule) -> Float64[Tensor, "factor step"]:
        lr = _lr(schedule, progress, epoch)
        return torch.stack([lr, _regularization(schedule, progress)] if changes else [lr])

    # Each schedule by itself: the last bit of a cosine may depend on its position in a tensor.
    by_schedule = {schedule: factors(schedule) for schedule in distinct}
    return torch.stack([by_schedule[schedule] for schedule in schedules], 2)


def _lr(schedule: config.Schedule, progress: Done, epoch: int) -> Done:
    match schedule:
        case config.CosineSchedule():
            return cosine(progress, schedule.warmup, schedule.final_factor)
        case config.CoslogSchedule():
            return coslog(progress, schedule.cycles)
        case config.StepSchedule():
            return torch.full_like(progress, schedule.gamma ** (epoch // schedule.step_size))
        case config.ConstantSchedule():
            return torch.ones_like(progress)


def cosine(progress: Done, warmup: float, final: float) -> Done:
    """A linear rise over the fraction `warmup`, then half a cosine from 1 to `final` (Loshchilov & Hutter
    2017, equation 5, without restarts)."""
    fall = ((progress - warmup) / (1 - warmup)).clamp(min=0)
    factors = final + (1 - final) * (1 + torch.cos(math.pi * fall)) / 2
    return torch.where(progress < warmup, progress / warmup, factors) if warmup else factors


def coslog(progress: Done, cycles: int) -> Done:
    """½(1 − cos(2π log₂(1 + (2^cycles − 1)t))) (RealMLP, arXiv 2407.04491, section 3)."""
    return (1 - torch.cos(2 * math.pi * torch.log2(1 + (2**cycles - 1) * progress))) / 2


def stage_ends(schedule: config.Schedule, epochs: int) -> list[int]:
    """The last epochs of the stages of training, each twice as long as the one before.

    They are the cycles of the learning rate, at whose ends it is lowest, or `STAGES` stages; fewer of them in
    few epochs.
    """
    stages = schedule.cycles if isinstance(schedule, config.CoslogSchedule) else STAGES
    return sorted({-(-epochs * (2**stage - 1) // (2**stages - 1)) for stage in range(1, stages + 1)})


def _regularization(schedule: config.Schedule, progress: Done) -> Done:
    """Constant, or flat_cos(t) = ½(1 + cos(π(max(1, 2t) − 1))) (RealMLP, arXiv 2407.04491, section 3)."""
    if schedule.regularization == "constant":
        return torch.ones_like(progress)
    return (1 + torch.cos(math.pi * ((2 * progress).clamp(min=1) - 1))) / 2


def average_share(number: Any) -> Any:
    """Of the weights after a step, in their average."""
    return (AVERAGE_EXPONENT + 1) / (number + AVERAGE_EXPONENT)


def step_numbers(factors: StepFactors, before: int) -> list[StepValues]:
    """The values of an epoch's steps, before which so many have been made.

    Args:
        factors: with the learning rates themselves.
    """
    by_step = enumerate(zip(*factors.tolist(), strict=True), before + 1)
    return [(number, average_share(number), *each) for number, each in by_step]


def step_tensors(
    factors: StepFactors, before: int, weights: Float[Tensor, "member weight"]
) -> list[StepValues]:
    """The same, as tensors where the weights are.

    The kernels of the updates read the number and the learning rate as float32 there.
    """
    lr, *regularization = factors
    numbers, single = torch.arange(before + 1, before + 1 + len(lr), dtype=torch.float64), torch.float32
    columns = [(numbers, single), (average_share(numbers), weights.dtype), (lr, single)]
    columns += [(each, each.dtype) for each in regularization]
    moved = (values.to(weights.device, dtype, non_blocking=True) for values, dtype in columns)
    return [*zip(*moved, strict=True)]
