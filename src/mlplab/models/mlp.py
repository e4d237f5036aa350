"""The multilayer perceptron."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from mlplab.models.layers import BatchNorm, Dropout, LayerNorm, Linear, elementwise

Norm = Literal["none", "layer", "batch"]


class MLP(nn.Module):
    """Hidden layers, each linear → norm → activation → dropout, and a linear output layer.

    With `hidden` empty it is one affine map.

    Args:
        hidden: widths of the hidden layers.
        activation: a function's name in `torch.nn.functional`.
        dropout: the rate of each member.
        norm: what stands between a linear layer and its activation.
        residual: adds a hidden layer's input to its output wherever both have the same width; the first
            layer has none.
        seeds: one for each member.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        hidden: Sequence[int],
        activation: str,
        dropout: Sequence[float],
        norm: Norm,
        residual: bool,
        seeds: Sequence[int],
    ) -> None:
        super().__init__()
        widths = [in_features, *hidden]
        self.hidden = nn.ModuleList(
            HiddenLayer(
                width,
                following,
                index=index,
                activation=activation,
                dropout=dropout,
                norm=norm,
                residual=residual and index > 0 and width == following,
                seeds=seeds,
            )
            for index, (width, following) in enumerate(pairwise(widths))
        )
        self.output = Linear(widths[-1], out_features, seeds, index=len(hidden))

    def forward(self, x: Float[Tensor, "member batch feature"]) -> Float[Tensor, "member batch target"]:
        """The hidden layers in turn, then the output layer."""
        for layer in self.hidden:
            x = layer(x)
        return self.output(x)


class HiddenLayer(nn.Module):
    """Linear → norm → activation → dropout, with or without the input added."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        index: int,
        activation: str,
        dropout: Sequence[float],
        norm: Norm,
        residual: bool,
        seeds: Sequence[int],
    ) -> None:
        super().__init__()
        self.residual = residual
        self.linear = Linear(in_features, out_features, seeds, index)
        self.norm = _norm(norm, out_features, len(seeds))
        self.activation: Callable[[Tensor], Tensor] = getattr(nn.functional, activation)
        self.dropout = Dropout(dropout, seeds, index) if any(dropout) else nn.Identity()

    def forward(self, x: Float[Tensor, "member batch input"]) -> Float[Tensor, "member batch output"]:
        """z = Wx + b, a = f(z)."""
        activated: Tensor = self.dropout(elementwise(self.activation, self.norm(self.linear(x))))
        return x + activated if self.residual else activated


def _norm(name: Norm, features: int, members: int) -> nn.Module:
    if name == "layer":
        return LayerNorm(features, members)
    if name == "batch":
        return BatchNorm(features, members)
    return nn.Identity()
