"""A whole network: encoder, body, decoder."""

from collections.abc import Sequence

from jaxtyping import Float, Float64
from torch import Tensor, nn

from mlplab import config
from mlplab.errors import Fault, UserError
from mlplab.nets.encoder import Encoder
from mlplab.nets.layers import Linear
from mlplab.nets.mlp import MLP
from mlplab.targets import build

MEMBER_DIMENSIONS = 3
"""Of every tensor of a network: member, row, column."""


class Network(nn.Module):
    """Maps centred columns, of which values may be missing (NaN), to the targets in their own units.

    Args:
        encoder: what stands on both sides of the body.
        body: `[member, batch, feature]` to `[member, batch, target]`, in encoded units.
    """

    def __init__(self, encoder: Encoder, body: nn.Module) -> None:
        super().__init__()
        self.encoder, self.body = encoder, body

    def encoded(self, x: Float[Tensor, "member batch feature"]) -> Float[Tensor, "member batch target"]:
        """Predictions in the units of the loss; values may be missing where the encoder looks for them."""
        return self.body(self.encoder.encode(x))

    def forward(self, x: Float[Tensor, "member batch feature"]) -> Float64[Tensor, "member batch target"]:
        """Predictions in the targets' units."""
        return self.encoder.decode(self.encoded(self.encoder.filled(x)))


def build_network(
    models: Sequence[config.Mlp | config.Linear | config.OwnModel], seeds: Sequence[int], encoder: Encoder
) -> Network:
    """A network of members whose models have one shape; the encoder says how many columns go in and out.

    Raises:
        UserError: if the user's own network class cannot be found, or its tensors have no member axis.
    """
    body = _build_body(models, seeds, encoder.width, encoder.targets).to(encoder.dtype)
    for name, tensor in (*body.named_parameters(), *body.named_buffers()):
        if tensor.dim() != MEMBER_DIMENSIONS or tensor.shape[0] != len(seeds):
            raise UserError(
                Fault(
                    f"its tensor {name} has the shape {tuple(tensor.shape)}",
                    type(body).__name__,
                    expected=f"[member, row, column], here with {len(seeds)} members",
                    remedy="make it of layers with a member axis, such as those of mlplab.nets",
                )
            )
    return Network(encoder, body)


def _build_body(
    models: Sequence[config.Mlp | config.Linear | config.OwnModel],
    seeds: Sequence[int],
    in_features: int,
    out_features: int,
) -> nn.Module:
    shape = models[0]
    match shape:
        case config.Linear():
            return Linear(in_features, out_features, seeds)
        case config.OwnModel():
            return build(shape.target, nn.Module, in_features, out_features, seeds=seeds, **shape.arguments)
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
