"""A whole network: preprocessing, body, decoder."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

from jaxtyping import Float, Float64
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from mlplab import config
from mlplab.config.allowed_classes import instantiate
from mlplab.errors import Fault, UserError
from mlplab.models.layers import Linear
from mlplab.models.mlp import MLP
from mlplab.models.preprocessing import Preprocessing

MEMBER_DIMENSIONS = 3
"""Of every tensor of a network: member, row, column."""


class Network(nn.Module):
    """Maps centred columns, of which values may be missing (NaN), to the targets in their own units.

    Args:
        preprocessing: what stands on both sides of the body.
        body: `[member, batch, feature]` to `[member, batch, target]`, in encoded units.
    """

    def __init__(self, preprocessing: Preprocessing, body: nn.Module) -> None:
        super().__init__()
        self.preprocessing, self.body = preprocessing, body

    def forward_scaled(
        self, x: Float[Tensor, "member batch feature"]
    ) -> Float[Tensor, "member batch target"]:
        """Predictions in the units of the loss; missing values where the preprocessing looks for them."""
        return self.body(self.preprocessing.transform(x))

    def forward(self, x: Float[Tensor, "member batch feature"]) -> Float64[Tensor, "member batch target"]:
        """Predictions in the targets' units."""
        return self.preprocessing.inverse_transform_target(self.forward_scaled(self.preprocessing.impute(x)))


class SkipInitialization(TorchFunctionMode):
    """Within this context the functions of `torch.nn.init` leave tensors as they are."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Returns the tensor of an init function; calls all other functions."""
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init":
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return func(*args, **kwargs)


def build_network(
    models: Sequence[config.Mlp | config.Linear | config.CustomModel],
    seeds: Sequence[int],
    preprocessing: Preprocessing,
    *,
    initialize: bool = True,
) -> Network:
    """A network of members whose models have one shape; the preprocessing says its input and output widths.

    Raises:
        UserError: if the user's own network class cannot be found, or its tensors have no member axis.
    """
    with nullcontext() if initialize else SkipInitialization():
        body = _build_body(models, seeds, preprocessing.width, preprocessing.targets).to(preprocessing.dtype)
    for name, tensor in (*body.named_parameters(), *body.named_buffers()):
        if tensor.dim() != MEMBER_DIMENSIONS or tensor.shape[0] != len(seeds):
            raise UserError(
                Fault(
                    f"its tensor {name} has the shape {tuple(tensor.shape)}",
                    type(body).__name__,
                    expected=f"[member, row, column], here with {len(seeds)} members",
                    remedy="make it of layers with a member axis, such as those of mlplab.models",
                )
            )
    return Network(preprocessing, body)


def _build_body(
    models: Sequence[config.Mlp | config.Linear | config.CustomModel],
    seeds: Sequence[int],
    in_features: int,
    out_features: int,
) -> nn.Module:
    shape = models[0]
    match shape:
        case config.Linear():
            return Linear(in_features, out_features, seeds)
        case config.CustomModel():
            return instantiate(
                shape.class_path, nn.Module, in_features, out_features, seeds=seeds, **shape.arguments
            )
        case config.Mlp():
            return MLP(
                in_features,
                out_features,
                hidden=shape.hidden,
                activation=shape.activation,
                dropout=[model.dropout for model in models if isinstance(model, config.Mlp)],
                norm=shape.norm,
                residual=shape.residual,
                seeds=seeds,
            )
