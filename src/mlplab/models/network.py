"""A whole network: preprocessing, body, inverse transform of the target."""

from collections.abc import Sequence
from contextlib import nullcontext

from jaxtyping import Float, Float64
from torch import Tensor, nn

from mlplab import config
from mlplab.config.allowed_classes import instantiate
from mlplab.errors import Fault, UserError
from mlplab.models.mlp import MLP
from mlplab.models.preprocessing import Preprocessing
from mlplab.random_streams import SkipInit

TENSOR_DIMENSIONS = 3
"""Dimensions of every parameter and buffer of a network: member, row, column."""


class Network(nn.Module):
    """Maps centred columns, with NaN for missing values, to targets in their own units, or to probabilities.

    Args:
        body: maps `[member, batch, feature]` to `[member, batch, output]`: scaled targets, or a logit for
            each class.
    """

    def __init__(self, preprocessing: Preprocessing, body: nn.Module) -> None:
        super().__init__()
        self.preprocessing, self.body = preprocessing, body

    def forward_scaled(
        self, x: Float[Tensor, "member batch feature"]
    ) -> Float[Tensor, "member batch output"]:
        """Predictions on the scale of the loss; only columns with an indicator may have missing values."""
        z: Tensor = self.body(self.preprocessing.transform(x))
        return z

    def forward(self, x: Float[Tensor, "member batch feature"]) -> Float64[Tensor, "member batch output"]:
        """Predictions in the targets' units, or the probability of each class."""
        z = self.forward_scaled(self.preprocessing.impute(x))
        return self.preprocessing.target_transform.inverse_transform(z)


def build_network(
    sections: Sequence[config.ResolvedModel],
    seeds: Sequence[int],
    preprocessing: Preprocessing,
    *,
    initialize: bool = True,
) -> Network:
    """A network whose members share a shape; its input and output widths come from the preprocessing.

    Args:
        initialize: whether to draw initial weights; otherwise they must be loaded.

    Raises:
        UserError: if a custom network class cannot be found, or its tensors have no member axis.
    """
    model, widths = sections[0], (preprocessing.width, preprocessing.target_transform.outputs)
    body: nn.Module
    with nullcontext() if initialize else SkipInit():
        if isinstance(model, config.Linear):
            body = MLP(*widths, seeds=seeds)
        elif isinstance(model, config.ResolvedMlp):
            body = MLP(
                *widths,
                hidden=model.hidden,
                activation=model.activation,
                dropout=[section.dropout for section in sections],  # type: ignore[union-attr]
                norm=model.norm,
                residual=model.residual,
                seeds=seeds,
                numeric_features=len(preprocessing.numeric),
                periodic_features=model.periodic_features,
            )
    if isinstance(model, config.CustomModel):  # which may need what its class initializes
        body = instantiate(model.class_path, nn.Module, *widths, seeds=seeds, **model.arguments)
    body = body.to(preprocessing.impute_value.dtype)
    for name, tensor in (*body.named_parameters(), *body.named_buffers()):
        if tensor.dim() != TENSOR_DIMENSIONS or tensor.shape[0] != len(seeds):
            what, expected = f"its tensor {name} has the shape {tuple(tensor.shape)}", "[member, row, column]"
            remedy = "build it from layers with a member axis, such as those of mlplab.models"
            raise UserError(Fault(what, type(body).__name__, expected=expected, remedy=remedy))
    return Network(preprocessing, body)
