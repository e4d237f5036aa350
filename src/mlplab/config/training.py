"""Losses, optimizers and schedules."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mlplab.config.types import Count, Fraction, NotNegative, Positive, Section


class PlainLoss(Section):
    """Mean squared or mean absolute error."""

    name: Literal["mse", "mae"]


class HuberLoss(Section):
    """Squared below `delta`, absolute above; `delta` counts in standard deviations of the target."""

    name: Literal["huber"]
    delta: Positive


class Adam(Section):
    """Adam, or AdamW with its decay apart from the gradient."""

    name: Literal["adam", "adamw"]
    lr: Positive
    betas: Annotated[list[Annotated[float, Field(ge=0, lt=1)]], Field(min_length=2, max_length=2)]
    eps: NotNegative
    weight_decay: NotNegative


class Sgd(Section):
    """Stochastic gradient descent with momentum."""

    name: Literal["sgd"]
    lr: Positive
    momentum: Annotated[float, Field(ge=0, lt=1)]
    nesterov: bool
    weight_decay: NotNegative

    @model_validator(mode="after")
    def _nesterov_has_momentum(self) -> "Sgd":
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov=true needs momentum above 0")
        return self


class ConstantSchedule(Section):
    """The learning rate stays as it is."""

    name: Literal["constant"]


class CosineSchedule(Section):
    """A linear rise over the fraction `warmup` of training, then half a cosine down to `final`."""

    name: Literal["cosine"]
    warmup: Annotated[float, Field(ge=0, lt=1)]
    final: Annotated[float, Field(ge=0, le=1)]


class StepSchedule(Section):
    """Times `factor` after every `every` epochs."""

    name: Literal["step"]
    every: Count
    factor: Annotated[float, Field(gt=0, le=1)]


class PlateauSchedule(Section):
    """Times `factor` when the monitored metric has not improved for more than `patience` epochs."""

    name: Literal["plateau"]
    patience: Annotated[int, Field(ge=0)]
    factor: Fraction
