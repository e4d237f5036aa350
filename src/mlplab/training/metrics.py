"""Metrics that torchmetrics does not have in the form needed."""

import torch
from jaxtyping import Float, Float64
from torch import Tensor
from torchmetrics import Metric

Sums = Float64[Tensor, "member target"]


class RegressionMetrics(Metric):
    """Root mean squared error, mean absolute error and r2 over weighted rows, for each member and target.

    r2 is 1 − Σw(y − ŷ)² / Σw(y − ȳ)² with the weighted mean ȳ; NaN where the target does not vary.
    torchmetrics' own have no weights, and its score takes sums of squares below 1e-4 for zero, so that it
    depends on the target's unit: a poor fit of a target in small units counts as perfect.

    Attributes:
        shift: the target of the first row with a weight above 0. It is subtracted from all targets before
            they are squared: a sum of squares of values that are large beside their spread loses the spread.
    """

    squared: Sums
    absolute: Sums
    total: Sums
    squares: Sums
    weights: Float64[Tensor, "member 1"]
    shift: Sums

    def __init__(self, members: int, targets: int) -> None:
        super().__init__()
        for name in ("squared", "absolute", "total", "squares", "shift"):
            self.add_state(name, torch.zeros(members, targets, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("weights", torch.zeros(members, 1, dtype=torch.float64), dist_reduce_fx="sum")

    def update(
        self,
        predicted: Float64[Tensor, "member row target"],
        target: Float64[Tensor, "member row target"],
        weight: Float[Tensor, "member row 1"] | None = None,
    ) -> None:
        """Adds rows; without `weight` each counts 1."""
        # [member, target, row], so that a member's sum runs along memory, and in the same order in any stack.
        first = target[:, 0]
        if weight is not None:
            member = torch.arange(len(target), device=target.device)
            first = target[member, (weight[..., 0] > 0).byte().argmax(1)]
        self.shift = torch.where(self.weights > 0, self.shift, first)
        error, y = (each.mT.contiguous() for each in (predicted - target, target - self.shift.unsqueeze(1)))
        each = None if weight is None else weight.double().mT.contiguous()

        def added(values: Float64[Tensor, "member target row"]) -> Sums:
            return (values if each is None else values * each).sum(2)

        self.squared += added(error.square())
        self.absolute += added(error.abs())
        self.total += added(y)
        self.squares += added(y.square())
        self.weights += target.shape[1] if each is None else each.sum(2)

    def compute(self) -> dict[str, Sums]:
        """`rmse`, `mae` and `r2` over all rows added."""
        spread = self.squares - self.total.square() / self.weights
        return {
            "rmse": (self.squared / self.weights).sqrt(),
            "mae": self.absolute / self.weights,
            "r2": torch.where(spread > 0, 1 - self.squared / spread, torch.nan),
        }
