"""How the learning rate changes during training."""

from typing import Annotated, Literal

from pydantic import Field

from mlplab.config.types import Count, Fraction, Section


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


class PlateauSchedule(Section):
    """Multiplies the learning rate by `factor` after more than `patience` epochs without improvement."""

    name: Literal["plateau"]
    patience: Annotated[int, Field(ge=0)]
    factor: Fraction
