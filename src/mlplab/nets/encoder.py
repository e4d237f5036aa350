"""The network's first and last step: centred columns in, target units out."""

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn


class Encoder(nn.Module):
    """Standardises inputs and target with the mean and deviation of each member's training rows.

    Inputs have the network's dtype, targets in their own units are float64.

    The hidden layers see inputs, and the loss sees targets, of zero mean and unit variance; predictions come
    back in the target's own units.

    Attributes:
        x_median: what a missing value is taken for.
    """

    x_mean: Float[Tensor, "member 1 feature"]
    x_std: Float[Tensor, "member 1 feature"]
    x_median: Float[Tensor, "member 1 feature"]
    y_mean: Float64[Tensor, "member 1 target"]
    y_std: Float64[Tensor, "member 1 target"]

    def __init__(
        self,
        x_mean: Float[Tensor, "member 1 feature"],
        x_std: Float[Tensor, "member 1 feature"],
        y_mean: Float[Tensor, "member 1 target"],
        y_std: Float[Tensor, "member 1 target"],
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.register_buffer("x_mean", x_mean.to(dtype))
        self.register_buffer("x_std", x_std.to(dtype))
        self.register_buffer("x_median", x_mean.to(dtype, copy=True))
        self.register_buffer("y_mean", y_mean.double())
        self.register_buffer("y_std", y_std.double())

    @classmethod
    def identity(
        cls, members: int, features: int, targets: int, dtype: torch.dtype = torch.float32
    ) -> "Encoder":
        """One that changes nothing."""
        return cls(
            torch.zeros(members, 1, features),
            torch.ones(members, 1, features),
            torch.zeros(members, 1, targets),
            torch.ones(members, 1, targets),
            dtype,
        )

    def encode(self, x: Float[Tensor, "member batch feature"]) -> Float[Tensor, "member batch feature"]:
        """Inputs as the hidden layers see them."""
        return (x - self.x_mean) / self.x_std

    def filled(self, x: Float[Tensor, "member batch feature"]) -> Float[Tensor, "member batch feature"]:
        """Inputs with the training rows' median for what is missing (NaN)."""
        return torch.where(x.isnan(), self.x_median, x)

    def encode_target(
        self, y: Float64[Tensor, "member batch target"]
    ) -> Float[Tensor, "member batch target"]:
        """Targets as the loss sees them."""
        return ((y - self.y_mean) / self.y_std).to(self.x_mean.dtype)

    def decode(self, z: Float[Tensor, "member batch target"]) -> Float64[Tensor, "member batch target"]:
        """The output layer's values in the target's units."""
        return z.double() * self.y_std + self.y_mean
