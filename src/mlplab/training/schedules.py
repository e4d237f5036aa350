"""Learning-rate schedules: one factor for each member, as a function of how far training has come."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mlplab import config

Factors = Float[Tensor, " member"]


class Schedule(nn.Module):
    """A constant learning rate, and what other schedules are made from.

    Settings of members are buffers, so that they move and are saved with the module they belong to.
    """

    def __init__(self, members: int, **settings: Sequence[float | int]) -> None:
        super().__init__()
        self.register_buffer("one", torch.ones(members))
        for name, values in settings.items():
            self.register_buffer(name, torch.tensor(values, dtype=self.one.dtype))

    one: Factors

    def forward(self, progress: float, epoch: int) -> Factors:
        """The factor for a step; `progress` is the fraction of all steps done, `epoch` counts from 0."""
        return self.one

    def observe(self, monitored: Factors) -> None:
        """Tells the monitored metric at an epoch's end."""


class Cosine(Schedule):
    """A linear rise over the fraction `warmup`, then half a cosine from 1 to `final` (Loshchilov & Hutter
    2017, equation 5, without restarts)."""

    warmup: Factors
    final: Factors

    def forward(self, progress: float, epoch: int) -> Factors:
        """Computed at every step."""
        fall = ((progress - self.warmup) / (1 - self.warmup)).clamp(min=0)
        cosine = self.final + (1 - self.final) * (1 + torch.cos(math.pi * fall)) / 2
        rise = progress / self.warmup.clamp(min=torch.finfo(self.warmup.dtype).tiny)
        return torch.where(progress < self.warmup, rise, cosine)


class Step(Schedule):
    """Times `factor` after every `every` epochs."""

    every: Factors
    factor: Factors

    def forward(self, progress: float, epoch: int) -> Factors:
        """Changes between epochs only."""
        return self.factor ** (epoch // self.every)


class Plateau(Schedule):
    """Times `factor` when the monitored metric has not fallen for more than `patience` epochs."""

    patience: Factors
    factor: Factors
    current: Factors
    lowest: Factors
    waited: Factors

    def __init__(self, members: int, **settings: Sequence[float | int]) -> None:
        super().__init__(members, **settings)
        self.register_buffer("current", torch.ones(members))
        self.register_buffer("lowest", torch.full((members,), torch.inf))
        self.register_buffer("waited", torch.zeros(members))

    def forward(self, progress: float, epoch: int) -> Factors:
        """Changes between epochs only."""
        return self.current

    def observe(self, monitored: Factors) -> None:
        """As `torch.optim.lr_scheduler.ReduceLROnPlateau` with `threshold=0`."""
        better = monitored < self.lowest
        self.lowest = torch.where(better, monitored, self.lowest)
        self.waited = torch.where(better, 0, self.waited + 1)
        late = self.waited > self.patience
        self.current = torch.where(late, self.current * self.factor, self.current)
        self.waited = torch.where(late, 0, self.waited)


_KINDS: dict[str, type[Schedule]] = {
    "constant": Schedule,
    "cosine": Cosine,
    "step": Step,
    "plateau": Plateau,
}


def build_schedule(
    schedules: Sequence[
        config.ConstantSchedule | config.CosineSchedule | config.StepSchedule | config.PlateauSchedule
    ],
) -> Schedule:
    """The schedule of members whose schedules have one name."""
    settings: list[dict[str, Any]] = [schedule.model_dump(exclude={"name"}) for schedule in schedules]
    columns = {name: [each[name] for each in settings] for name in settings[0]}
    return _KINDS[schedules[0].name](len(schedules), **columns)
