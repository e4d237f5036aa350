"""The optimizer, and how its learning rate changes during training."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mlplab.config.types import Count, NotNegative, OrAuto, Positive, Section


class Adam(Section):
    """Adam, or AdamW (weight decay decoupled from the gradient)."""

    name: Literal["adam", "adamw"]
    lr: OrAuto[Positive]
    betas: Annotated[list[Annotated[float, Field(ge=0, lt=1)]], Field(min_length=2, max_length=2)]
    eps: Annotated[float, Field(ge=1e-20, allow_inf_nan=False)]  # squares of gradients below 4e-23 are 0
    weight_decay: OrAuto[NotNegative]
    weight_averaging: bool


class Sgd(Section):
    """Stochastic gradient descent with momentum."""

    name: Literal["sgd"]
    lr: OrAuto[Positive]
    momentum: Annotated[float, Field(ge=0, lt=1)]
    nesterov: bool
    weight_decay: NotNegative
    weight_averaging: bool

    @model_validator(mode="after")
    def _nesterov_has_momentum(self) -> "Sgd":
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov=true needs momentum above 0")
        return self


class ConstantSchedule(Section):
    """A constant learning rate."""

    name: Literal["constant"]


class CosineSchedule(Section):
    """Linear warmup over the fraction `warmup` of training, then half a cosine down to `final_factor`."""

    name: Literal["cosine"]
    warmup: Annotated[float, Field(ge=0, lt=1)]
    final_factor: Annotated[float, Field(ge=0, le=1)]


class StepSchedule(Section):
    """Multiplies the learning rate by `gamma` every `step_size` epochs."""

    name: Literal["step"]
    step_size: Count
    gamma: Annotated[float, Field(gt=0, le=1)]
