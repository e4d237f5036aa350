"""The last layer of a network: targets to the scale of the loss, and outputs to units or probabilities."""

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from mlplab.config.loss import MEDIAN
from mlplab.models.layers.activation import elementwise
from mlplab.models.network_plan import ClassWeight, NetworkPlan

Target = Float64[Tensor, "member batch target"]
Outputs = Float[Tensor, "member batch output"]
Prediction = Float64[Tensor, "member batch output"]
RowWeight = Float[Tensor, "member batch 1"] | None


class TargetScaling(nn.Module):
    """Standardizes targets, or their logarithms, by statistics of each member's training rows.

    Args:
        plan: its section `preprocessing` has `target`: `standard`, `log` (the logarithm is standardized) or
            `none`.

    Attributes:
        dtype: of scaled targets. In their own units, targets are float64.
        quantiles: the levels that a network of one target outputs, 0.5 among them; none: the targets.
        mean, std, minimum, maximum: `[member, 1, target]`; the last two None if predictions are not clipped.
    """

    def __init__(self, plan: NetworkPlan) -> None:
        super().__init__()
        section, statistics = plan.preprocessing, plan.known_statistics()
        mean, std, scales = statistics["y_mean"], statistics["y_std"], section.target != "none"
        self.log, self.dtype = section.target == "log", plan.dtype
        self.quantiles = tuple(plan.layout.quantiles)
        self.outputs = len(self.quantiles) or mean.shape[2]
        self.mean = nn.Buffer(mean.clone() if scales else torch.zeros_like(mean))
        self.std = nn.Buffer(std.clone() if scales else torch.ones_like(std))
        self.minimum, self.maximum = (
            nn.Buffer(statistics[name].clone()) if section.clip_predictions else None
            for name in ("y_minimum", "y_maximum")
        )

    @property
    def unit(self) -> Float64[Tensor, " member"]:
        """What 1 on the scale of the loss is in the target's unit; several targets have no common unit."""
        return self.std.flatten() if self.std.shape[2] == 1 else self.std.new_ones(len(self.std))

    def transform(self, y: Target) -> Outputs:
        """Targets on the scale of the loss."""
        values = elementwise(torch.log, y) if self.log else y
        return ((values - self.mean) / self.std).to(self.dtype)

    def loss_weight(self, y: Target, weight: RowWeight) -> RowWeight:
        """The weights of rows in the loss: their own."""
        return weight

    def inverse_transform(self, z: Outputs) -> Prediction:
        """Outputs of the network in the target's own units, within the limits; quantiles ascend."""
        z = z.sort(2).values if self.quantiles else z
        values = z.double() * self.std + self.mean
        values = elementwise(torch.exp, values) if self.log else values
        return values if self.minimum is None else values.clamp(self.minimum, self.maximum)

    def scored(self, z: Outputs) -> Target:
        """What `RegressionMetrics` compares with targets: predictions, or their median."""
        values = self.inverse_transform(z)
        return values[..., [self.quantiles.index(MEDIAN)]] if self.quantiles else values


class ClassProbabilities(nn.Module):
    """The softmax of outputs (logits), divided by each member's temperature (Guo et al. 2017).

    Attributes:
        dtype: of the targets for the loss.
        class_weight: the weight of each class in the loss; None if all are 1.
        temperature: `[member, 1, 1]`; 1 until it is chosen on validation rows. It does not change which class
            is most likely.
    """

    def __init__(self, plan: NetworkPlan) -> None:
        super().__init__()
        self.outputs, self.dtype, weight = plan.layout.classes, plan.dtype, plan.class_weight
        self.temperature = nn.Buffer(torch.ones(len(plan.seeds), 1, 1, dtype=torch.float64))
        self.class_weight: ClassWeight = None if weight is None else nn.Buffer(weight)

    @property
    def unit(self) -> Float64[Tensor, " member"]:
        """Classes have no unit."""
        return torch.ones_like(self.temperature).flatten()

    def transform(self, y: Target) -> Outputs:
        """Numbers of classes, for the loss."""
        return y.to(self.dtype)

    def loss_weight(self, y: Target, weight: RowWeight) -> RowWeight:
        """The weights of rows in the loss: their own times those of their classes."""
        if self.class_weight is None:
            return weight
        class_weight = self.class_weight.mT.gather(1, y.long())
        return class_weight if weight is None else weight * class_weight

    def inverse_transform(self, z: Outputs) -> Prediction:
        """The probability of each class."""
        return torch.softmax(z.double() / self.temperature, 2)

    def scored(self, z: Outputs) -> Prediction:
        """What `ClassificationMetrics` compares with targets: the logarithm of each class's probability."""
        return torch.log_softmax(z.double() / self.temperature, 2)


TargetTransform = TargetScaling | ClassProbabilities
