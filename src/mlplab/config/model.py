"""Networks."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Discriminator, Field, Tag, model_validator

from mlplab.config.types import Count, OwnTarget, Section

Activation = Literal[
    "relu",
    "leaky_relu",
    "elu",
    "selu",
    "gelu",
    "silu",
    "mish",
    "softplus",
    "tanh",
    "sigmoid",
    "hardswish",
]


class Encoder(Section):
    """What stands between raw columns and the hidden layers, and between their output and target units.

    Categories of a feature that has at most `one_hot` become one column each, those of others `embedding`
    learned values.
    """

    name: Literal["standard", "robust_clip", "quantile", "none"]
    target: Literal["standard", "log", "none"]
    one_hot: Count
    embedding: Count


class Linear(Section):
    """One affine layer."""

    name: Literal["linear"]
    encoder: Encoder


class Mlp(Section):
    """A multilayer perceptron."""

    name: Literal["mlp"]
    hidden: list[Count]
    activation: Activation
    dropout: Annotated[float, Field(ge=0, lt=1)]
    norm: Literal["none", "layer", "batch"]
    residual: bool
    encoder: Encoder

    @model_validator(mode="after")
    def _has_layers_to_skip(self) -> "Mlp":
        if self.residual and not any(a == b for a, b in pairwise(self.hidden)):
            raise ValueError(
                f"residual=true needs two neighbouring hidden layers of one width, hidden is {self.hidden}"
            )
        return self


class OwnModel(Section):
    """A network class of the user's, which gets its further keys as arguments."""

    model_config = ConfigDict(extra="allow", protected_namespaces=())

    target: OwnTarget = Field(alias="_target_")
    encoder: Encoder

    @property
    def arguments(self) -> dict[str, Any]:
        """The keys that are the user's own."""
        return dict(self.__pydantic_extra__ or {})


def _model_tag(value: Any) -> str | None:
    if isinstance(value, OwnModel) or (isinstance(value, Mapping) and "_target_" in value):
        return "own"
    return value.get("name") if isinstance(value, Mapping) else getattr(value, "name", None)


Model = Annotated[
    Annotated[Mlp, Tag("mlp")] | Annotated[Linear, Tag("linear")] | Annotated[OwnModel, Tag("own")],
    Discriminator(_model_tag),
]
