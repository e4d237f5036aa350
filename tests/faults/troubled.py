"""Classes of a user's that make trouble in training, where MLPLAB_ALLOWED_CLASSES allows them."""

from typing import Any

import torch
from torch import Tensor, nn

from mlplab.models import Linear


class Troubled(nn.Sequential):
    """A hidden layer, and what `trouble` says: none, raise, exit, lost; the seeds `lost` are, too."""

    def __init__(
        self, in_features: int, out_features: int, seeds: Any, trouble: str = "none", lost: Any = ()
    ) -> None:
        super().__init__(Linear(in_features, 4, seeds, 0), nn.Tanh(), Linear(4, out_features, seeds, 1))
        self.trouble = trouble
        self.lost = torch.tensor([trouble == "lost" or seed in lost for seed in seeds])[:, None, None]

    def forward(self, x: Tensor) -> Tensor:
        if self.training and self.trouble == "raise":
            raise RuntimeError("it raises")
        if self.training and self.trouble == "exit":
            raise SystemExit(0)
        z: Tensor = super().forward(x)
        return z.masked_fill(self.lost, torch.nan)
