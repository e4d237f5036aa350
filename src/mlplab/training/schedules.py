"""Learning-rate schedules: factors of each member's learning rate."""

import math
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float64
from torch import Tensor

from mlplab import config

Progress = Float64[Tensor, " step"]
"""Fraction of all steps completed before each step of an epoch."""

Schedule = config.ConstantSchedule | config.CosineSchedule | config.StepSchedule | config.PlateauSchedule


class Schedules:
    """The schedule of each member.

    Attributes:
        state: for plateau schedules, the current `factor`, the `lowest` monitored metric so far, and the
            number of epochs they have `waited` for a lower one.
    """

    def __init__(self, members: Sequence[Schedule]) -> None:
        self.members = list(members)
        ones = torch.ones(len(self.members), dtype=torch.float64)
        self.state = {"factor": ones, "lowest": torch.inf * ones, "waited": 0 * ones}

    def factors(self, progress: Progress, epoch: int) -> Float64[Tensor, "step member"]:
        """Factors for the steps of an epoch; `epoch` is counted from 0."""
        # Each schedule by itself: the last bit of a cosine may depend on its position in a tensor.
        settings = list(zip(self.members, self.state["factor"].tolist(), strict=True))
        distinct = {key: _factors(key[0], progress, epoch, key[1]) for key in dict.fromkeys(settings)}
        return torch.stack([distinct[key] for key in settings], 1)

    def observe(self, monitored: Float64[Tensor, " member"]) -> None:
        """Updates plateau schedules after an epoch, like `torch.optim.lr_scheduler.ReduceLROnPlateau` with
        `threshold=0`."""
        factor, lowest, waited = (self.state[name] for name in ("factor", "lowest", "waited"))
        for member, schedule in enumerate(self.members):
            if not isinstance(schedule, config.PlateauSchedule):
                continue
            if monitored[member] < lowest[member]:
                lowest[member] = monitored[member]
                waited[member] = 0
            else:
                waited[member] += 1
            if waited[member] > schedule.patience:
                factor[member] *= schedule.factor
                waited[member] = 0

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restores a `state`."""
        self.state = {name: values.clone() for name, values in state.items()}


def _factors(schedule: Schedule, progress: Progress, epoch: int, plateau_factor: float) -> Progress:
    match schedule:
        case config.CosineSchedule():
            return cosine(progress, schedule.warmup, schedule.final_factor)
        case config.StepSchedule():
            return torch.full_like(progress, schedule.gamma ** (epoch // schedule.step_size))
        case _:  # plateau, or constant with a factor of 1
            return torch.full_like(progress, plateau_factor)


def cosine(progress: Progress, warmup: float, final: float) -> Progress:
    """A linear rise over the fraction `warmup`, then half a cosine from 1 to `final` (Loshchilov & Hutter
    2017, equation 5, without restarts)."""
    fall = ((progress - warmup) / (1 - warmup)).clamp(min=0)
    factors = final + (1 - final) * (1 + torch.cos(math.pi * fall)) / 2
    return torch.where(progress < warmup, progress / warmup, factors) if warmup else factors
