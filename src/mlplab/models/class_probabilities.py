"""Turns outputs of a network into probabilities of classes."""

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn


class ClassProbabilities(nn.Module):
    """The softmax of outputs (logits), divided by each member's temperature (Guo et al. 2017).

    Args:
        classes: number of classes.
        members: number of members.
        dtype: of the targets for the loss.
        class_weight: the weight of each class in the loss; None if all are 1.

    Attributes:
        temperature: 1 until it is chosen on validation rows. It does not change which class is most likely.
    """

    temperature: Float64[Tensor, "member 1 1"]
    class_weight: Float64[Tensor, "member 1 class"] | None

    def __init__(
        self,
        classes: int,
        members: int,
        dtype: torch.dtype,
        class_weight: Float64[Tensor, "member 1 class"] | None,
    ) -> None:
        super().__init__()
        self.outputs, self.dtype = classes, dtype
        self.register_buffer("temperature", torch.ones(members, 1, 1, dtype=torch.float64))
        self.register_buffer("class_weight", class_weight)

    def transform(self, y: Float64[Tensor, "member batch 1"]) -> Float[Tensor, "member batch 1"]:
        """Numbers of classes, for the loss."""
        return y.to(self.dtype)

    def loss_weight(
        self, y: Float64[Tensor, "member batch 1"], weight: Float[Tensor, "member batch 1"] | None
    ) -> Float[Tensor, "member batch 1"] | None:
        """The weights of rows in the loss: their own times those of their classes."""
        if self.class_weight is None:
            return weight
        of_classes = self.class_weight.mT.gather(1, y.long())
        return of_classes if weight is None else weight * of_classes

    def log_probabilities(
        self, z: Float[Tensor, "member batch class"]
    ) -> Float64[Tensor, "member batch class"]:
        """The logarithm of each class's probability."""
        return torch.log_softmax(z.double() / self.temperature, 2)

    def inverse_transform(
        self, z: Float[Tensor, "member batch class"]
    ) -> Float64[Tensor, "member batch class"]:
        """The probability of each class."""
        return torch.softmax(z.double() / self.temperature, 2)
