"""Regression metrics for weighted rows, which torchmetrics lacks."""

import torch
from jaxtyping import Float, Float64
from torch import Tensor
from torchmetrics import Metric

Sums = Float64[Tensor, "member target"]


class RegressionMetrics(Metric):
    """Root mean squared error, mean absolute error and r2 over weighted rows, for each member and target.

    r2 is 1 − Σw(y − ŷ)² / Σw(y − ȳ)² with the weighted mean ȳ; NaN if the target is constant. The metrics of
    torchmetrics have no weights, and its `R2Score` treats sums of squares below 1e-4 as zero. So its score
    depends on the target's unit: a poor fit of a target with small values counts as perfect.

    Attributes:
        shift: the target of the first row with a weight above 0. It is subtracted from all targets before
            they are squared: otherwise, if values are large compared to their spread, rounding would lose it.
    """

    squared_error: Sums
    absolute_error: Sums
    sum_y: Sums
    sum_y_squared: Sums
    sum_weight: Float64[Tensor, "member 1"]
    shift: Sums

    def __init__(self, members: int, targets: int) -> None:
        super().__init__()
        for name in ("squared_error", "absolute_error", "sum_y", "sum_y_squared", "shift"):
            self.add_state(name, torch.zeros(members, targets, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("sum_weight", torch.zeros(members, 1, dtype=torch.float64), dist_reduce_fx="sum")

    def update(
        self,
        predicted: Float64[Tensor, "member row target"],
        target: Float64[Tensor, "member row target"],
        weight: Float[Tensor, "member row 1"] | None = None,
    ) -> None:
        """Adds rows; without `weight`, each has weight 1."""
        # [member, target, row]: a member's values are contiguous, so their sum has one order in any stack.
        first = target[:, 0]
        if weight is not None:
            member = torch.arange(len(target), device=target.device)
            first = target[member, (weight[..., 0] > 0).byte().argmax(1)]
        self.shift = torch.where(self.sum_weight > 0, self.shift, first)
        error, y = (each.mT.contiguous() for each in (predicted - target, target - self.shift.unsqueeze(1)))
        weights = None if weight is None else weight.double().mT.contiguous()

        def weighted_sum(values: Float64[Tensor, "member target row"]) -> Sums:
            return (values if weights is None else values * weights).sum(2)

        self.squared_error += weighted_sum(error.square())
        self.absolute_error += weighted_sum(error.abs())
        self.sum_y += weighted_sum(y)
        self.sum_y_squared += weighted_sum(y.square())
        self.sum_weight += target.shape[1] if weights is None else weights.sum(2)

    def compute(self) -> dict[str, Sums]:
        """`rmse`, `mae` and `r2` over all rows added."""
        spread = self.sum_y_squared - self.sum_y.square() / self.sum_weight
        return {
            "rmse": (self.squared_error / self.sum_weight).sqrt(),
            "mae": self.absolute_error / self.sum_weight,
            "r2": torch.where(spread > 0, 1 - self.squared_error / spread, torch.nan),
        }
