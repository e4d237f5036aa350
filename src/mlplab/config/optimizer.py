"""The optimizer, and how its learning rate changes during training."""

from typing import Annotated, Generic, Literal

from pydantic import Field, model_validator

from mlplab.config.types import A, Count, Divided, Mark, NotNegative, OrAuto, Positive, Resolved, Section

Momentum = Annotated[float, Field(ge=0, lt=1)]


class ParameterFactors(Section):
    """A factor for each group of parameters; `parameter_kinds` in `models/network.py` finds their group."""

    weights: NotNegative = 1.0
    biases: NotNegative = 1.0
    input_scale: NotNegative = 1.0
    activations: NotNegative = 1.0
    numeric_embeddings: NotNegative = 1.0
    embeddings: NotNegative = 1.0


class Adam(Section, Generic[A]):
    """Adam, or AdamW (weight decay decoupled from the gradient).

    With `lr_by_fan_in`, linear layers train as in the neural tangent parametrisation (Jacot et al. 2018,
    arXiv 1806.07572). There, a layer with n inputs computes xV/√n, and V has the learning rate lr. Here, it
    computes xW with W = V/√n. The steps of Adam do not depend on the scale of a gradient, so W has the
    learning rate lr/√n. Its weight decay is that of V, whose learning rate is lr.
    """

    name: Literal["adam", "adamw"]
    lr: Annotated[OrAuto[Positive, A], Mark.PER_MEMBER]
    betas: Annotated[list[Momentum], Field(min_length=2, max_length=2), Mark.PER_MEMBER]
    # Squares of gradients below 4e-23 are 0.
    eps: Annotated[float, Field(ge=1e-20, allow_inf_nan=False), Mark.PER_MEMBER]
    weight_decay: Annotated[OrAuto[Divided[NotNegative], A], Mark.PER_MEMBER]
    weight_averaging: bool
    lr_factors: Annotated[ParameterFactors, Mark.PER_MEMBER] = ParameterFactors()
    weight_decay_factors: Annotated[ParameterFactors, Mark.PER_MEMBER] = ParameterFactors()
    lr_by_fan_in: Annotated[bool, Mark.PER_MEMBER] = False


class Sgd(Section, Generic[A]):
    """Stochastic gradient descent with momentum."""

    name: Literal["sgd"]
    lr: Annotated[OrAuto[Positive, A], Mark.PER_MEMBER]
    momentum: Annotated[Momentum, Mark.PER_MEMBER]
    nesterov: bool
    weight_decay: Annotated[Divided[NotNegative], Mark.PER_MEMBER]
    weight_averaging: bool
    lr_factors: Annotated[ParameterFactors, Mark.PER_MEMBER] = ParameterFactors()
    weight_decay_factors: Annotated[ParameterFactors, Mark.PER_MEMBER] = ParameterFactors()

    @model_validator(mode="after")
    def _nesterov_has_momentum(self) -> "Sgd[A]":
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov=true needs momentum above 0")
        return self


ResolvedOptimizer = Adam[Resolved] | Sgd[Resolved]

# How weight decay and dropout rates change during training.
Regularization = Literal["constant", "flat_cos"]


class ConstantSchedule(Section):
    """A constant learning rate."""

    name: Literal["constant"]
    regularization: Regularization = "constant"


class CosineSchedule(Section):
    """Linear warmup over the fraction `warmup` of training, then half a cosine down to `final_factor`."""

    name: Literal["cosine"]
    warmup: Annotated[float, Field(ge=0, lt=1)]
    final_factor: Annotated[float, Field(ge=0, le=1)]
    regularization: Regularization = "constant"


class CoslogSchedule(Section):
    """`cycles` from 0 up to the learning rate and back, each twice as long as the one before."""

    name: Literal["coslog"]
    cycles: Annotated[int, Field(ge=1, le=16)]
    regularization: Regularization = "constant"


class StepSchedule(Section):
    """Multiplies the learning rate by `gamma` every `step_size` epochs."""

    name: Literal["step"]
    step_size: Count
    gamma: Annotated[float, Field(gt=0, le=1)]
    regularization: Regularization = "constant"


Schedule = ConstantSchedule | CosineSchedule | CoslogSchedule | StepSchedule
