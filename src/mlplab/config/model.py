"""The network and its preprocessing."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Generic, Literal

from pydantic import Field, model_validator

from mlplab.config.types import (
    A,
    ClassSection,
    Count,
    Divided,
    Mark,
    NotNegativeCount,
    OrAuto,
    Rate,
    Resolved,
    Section,
    allowed,
)

Activation = Literal["relu", "leaky_relu", "elu", "selu", "gelu", "silu", "mish", "tanh", "sigmoid"]

Bins = Annotated[int, Field(ge=0, le=1000)]


class Preprocessing(Section):
    """The first and last layers of a network: scaling of inputs and target.

    A feature with at most `one_hot_max_categories` categories is one-hot encoded; one with more gets an
    embedding of `embedding_dim` learned values per category.
    """

    name: Literal["standard", "robust_clip", "quantile", "none"]
    target: Literal["standard", "log", "none"]
    one_hot_max_categories: Count
    embedding_dim: Count
    clip_predictions: bool = False


class Linear(Section):
    """A single affine layer."""

    name: Literal["linear"]
    preprocessing: Preprocessing


class Mlp(Section, Generic[A]):
    """A multilayer perceptron."""

    name: Literal["mlp"]
    periodic_features: OrAuto[NotNegativeCount, A]
    periodic_projection: NotNegativeCount = 0
    piecewise_linear_bins: OrAuto[Bins, A] = 0
    piecewise_linear_width: OrAuto[Count, A] = 16
    hidden: OrAuto[list[Count], A]
    activation: Annotated[OrAuto[Divided[Activation], A], Mark.PER_MEMBER]
    dropout: Annotated[OrAuto[Divided[Rate], A], Mark.PER_MEMBER]
    norm: Literal["none", "layer"]
    residual: bool
    linear_path: OrAuto[bool, A] = False
    initial_weights: Literal["uniform", "data"] = "uniform"
    input_scale: bool = False
    parametric_activation: bool = False
    heads: Annotated[int, Field(ge=1, le=512)] = 1
    preprocessing: Preprocessing

    @model_validator(mode="after")
    def _is_possible(self) -> "Mlp[A]":
        if self.heads > 1 and not self.hidden:
            what = f"heads={self.heads} share the weights of hidden layers, but hidden is []"
            raise ValueError(f"{what}; use model.heads=1, or hidden layers, as in model.hidden=[128]")
        if self.heads > 1 and self.initial_weights == "data":
            what = f"initial_weights=data suits weights to one network, but heads={self.heads} share them"
            raise ValueError(f"{what}; use model.initial_weights=uniform, or model.heads=1")
        if self.periodic_projection and self.piecewise_linear_bins not in (0, "auto"):
            what = "periodic_projection and piecewise_linear_bins embed the same columns"
            raise ValueError(f"{what}; use model.periodic_projection=0, or model.piecewise_linear_bins=0")
        if self.residual and self.hidden != "auto" and not any(a == b for a, b in pairwise(self.hidden)):
            what = "residual=true needs two adjacent hidden layers of equal width"
            raise ValueError(f"{what}; hidden is {self.hidden}")
        return self


class CustomModel(ClassSection):
    """A custom network class. All further keys are its arguments."""

    class_path: Annotated[str, allowed("")] = Field(alias="_target_")
    preprocessing: Preprocessing


def model_tag(value: object) -> str | None:
    """The option of the group `model`: its name, or `custom`."""
    if isinstance(value, CustomModel) or (isinstance(value, Mapping) and "_target_" in value):
        return "custom"
    return value.get("name") if isinstance(value, Mapping) else getattr(value, "name", None)


Model = Mlp | Linear | CustomModel

ResolvedModel = Mlp[Resolved] | Linear | CustomModel
