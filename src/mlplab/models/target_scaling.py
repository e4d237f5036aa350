"""Scales targets for the loss, and predictions back to the target's own units."""

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from mlplab.models.layers import elementwise


class TargetScaling(nn.Module):
    """Standardizes targets, or their logarithms, by statistics of each member's training rows.

    Args:
        name: `standard`, `log` (the logarithm is standardized) or `none`.
        mean: of the targets, or of their logarithms.
        std: likewise.
        dtype: of scaled targets. In their own units, targets are float64.
    """

    mean: Float64[Tensor, "member 1 target"]
    std: Float64[Tensor, "member 1 target"]

    def __init__(
        self,
        name: str,
        mean: Float64[Tensor, "member 1 target"],
        std: Float64[Tensor, "member 1 target"],
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        self.log, self.dtype, self.outputs = name == "log", dtype, mean.shape[2]
        self.register_buffer("mean", torch.zeros_like(mean) if name == "none" else mean.clone())
        self.register_buffer("std", torch.ones_like(std) if name == "none" else std.clone())

    def transform(self, y: Float64[Tensor, "member batch target"]) -> Float[Tensor, "member batch target"]:
        """Targets on the scale of the loss."""
        values = elementwise(torch.log, y) if self.log else y
        return ((values - self.mean) / self.std).to(self.dtype)

    def loss_weight(
        self, y: Float64[Tensor, "member batch target"], weight: Float[Tensor, "member batch 1"] | None
    ) -> Float[Tensor, "member batch 1"] | None:
        """The weights of rows in the loss: their own."""
        return weight

    def inverse_transform(
        self, z: Float[Tensor, "member batch target"]
    ) -> Float64[Tensor, "member batch target"]:
        """Outputs of the network in the target's own units."""
        values = z.double() * self.std + self.mean
        return elementwise(torch.exp, values) if self.log else values
