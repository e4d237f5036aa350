"""What changes from step to step: factors of each member's learning rate and regularization, and counts."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float32, Float64
from torch import Tensor

from mlplab import config
from mlplab.training.members import Progress

# Fraction of all steps completed before each step of an epoch.
Done = Float64[Tensor, " step"]

# The exponent η of the weight average: a step counts by about the η-th power of its number.
AVERAGE_EXPONENT = 8

# Factors in the steps of an epoch: of each member's learning rate, and, unless it is always 1, of its weight
# decay and dropout rate.
StepFactors = Float64[Tensor, "factor step member"]


class StepValues(NamedTuple):
    """What changes from step to step.

    Args:
        number: that of the step, counted from 1, in float32.
        average_share: the share in the weight average of the weights after the step.
        lr: the learning rate of each member.
        regularization: the factor of each member's weight decay and dropout rate; None: they do not change.
    """

    number: Float32[Tensor, ""]
    average_share: float
    lr: Sequence[float]
    regularization: Sequence[float] | None = None


def epoch_factors(
    schedules: Sequence[config.Schedule], progress: Progress, *, anew: bool
) -> StepFactors | None:
    """The factors of the next epoch's steps; None if they stay those of the epoch before, unless `anew`."""
    is_constant = (each.name == "constant" and each.regularization == "constant" for each in schedules)
    if not anew and all(is_constant):
        return None
    done = progress.epoch * progress.steps + torch.arange(progress.steps, dtype=torch.float64)
    return step_factors(schedules, done / (progress.max_epochs * progress.steps), progress.epoch)


def step_factors(schedules: Sequence[config.Schedule], progress: Done, epoch: int) -> StepFactors:
    """The factors of each member's schedule for the steps of an epoch, which is counted from 0."""
    distinct = dict.fromkeys(schedules)
    changes = any(schedule.regularization != "constant" for schedule in distinct)

    def factors(schedule: config.Schedule) -> Float64[Tensor, "factor step"]:
        rows = [_lr(schedule, progress, epoch)]
        if schedule.regularization == "flat_cos":
            # ½(1 + cos(π(max(1, 2t) − 1))) of the progress t (RealMLP, arXiv 2407.04491, section 3)
            rows.append((1 + torch.cos(math.pi * ((2 * progress).clamp(min=1) - 1))) / 2)
        elif changes:
            rows.append(torch.ones_like(progress))
        return torch.stack(rows)

    # Each schedule by itself: the last bit of a cosine may depend on its position in a tensor.
    by_schedule = {schedule: factors(schedule) for schedule in distinct}
    return torch.stack([by_schedule[schedule] for schedule in schedules], 2)


def _lr(schedule: config.Schedule, progress: Done, epoch: int) -> Done:
    match schedule:
        case config.CosineSchedule(warmup=warmup, final_factor=final):
            # Loshchilov & Hutter 2017, equation 5, without restarts, after a linear rise.
            fall = ((progress - warmup) / (1 - warmup)).clamp(min=0)
            factors = final + (1 - final) * (1 + torch.cos(math.pi * fall)) / 2
            return torch.where(progress < warmup, progress / warmup, factors) if warmup else factors
        case config.CoslogSchedule():  # RealMLP, arXiv 2407.04491, section 3
            waves = torch.log2(1 + (2**schedule.cycles - 1) * progress)
            return (1 - torch.cos(2 * math.pi * waves)) / 2
        case config.StepSchedule():
            return torch.full_like(progress, schedule.gamma ** (epoch // schedule.step_size))
        case config.ConstantSchedule():
            return torch.ones_like(progress)


def can_judge_progress(schedule: config.Schedule, epoch: int, epochs: int) -> bool:
    """Whether errors after an epoch, counted from 1, show if training still makes progress.

    Within a cycle of the learning rate, they rise with it; before it is lowered, they may stand still.
    """
    match schedule:
        case config.CoslogSchedule(cycles=cycles):
            return epoch in [-(-epochs * (2**cycle - 1) // (2**cycles - 1)) for cycle in range(1, cycles + 1)]
        case config.StepSchedule(step_size=size):
            return epoch % size == 0
    return True


def step_values(factors: StepFactors, before: int, device: torch.device) -> list[StepValues]:
    """The values of an epoch's steps.

    Args:
        factors: with the learning rates themselves in place of their factors.
        before: the number of steps that were made before.
        device: that of the weights.
    """
    numbers = torch.arange(before + 1, before + 1 + factors.shape[1])
    # Of numbers, whose quotients are rounded once; torch multiplies by the reciprocal.
    shares = ((AVERAGE_EXPONENT + 1) / (number + AVERAGE_EXPONENT) for number in numbers.tolist())
    return [*map(StepValues, numbers.float().to(device), shares, *factors.tolist())]
