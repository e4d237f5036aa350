"""Metrics that torchmetrics does not have in the form needed."""

import torch
from jaxtyping import Float64
from torch import Tensor
from torchmetrics import Metric


class R2(Metric):
    """The coefficient of determination, 1 − Σ(y − ŷ)² / Σ(y − ȳ)², for each member.

    torchmetrics' own takes sums of squares below 1e-4 for zero, so that its score depends on the target's
    unit: a poor fit of a target in small units counts as perfect. NaN where the target does not vary.
    """

    residual: Float64[Tensor, " member"]
    total: Float64[Tensor, " member"]
    squares: Float64[Tensor, " member"]
    rows: Float64[Tensor, ""]

    def __init__(self, members: int) -> None:
        super().__init__()
        for name in ("residual", "total", "squares"):
            self.add_state(name, torch.zeros(members, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("rows", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, predicted: Float64[Tensor, "row member"], target: Float64[Tensor, "row member"]) -> None:
        """Adds rows."""
        self.residual += (target - predicted).square().sum(0)
        self.total += target.sum(0)
        self.squares += target.square().sum(0)
        self.rows += len(target)

    def compute(self) -> Float64[Tensor, " member"]:
        """The score over all rows added."""
        spread = self.squares - self.total.square() / self.rows
        return torch.where(spread > 0, 1 - self.residual / spread, torch.nan)
