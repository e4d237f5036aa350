"""What a network is built from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from mlplab import config
from mlplab.models.feature_layout import FeatureLayout
from mlplab.models.scaling import STATISTICS

ClassWeight = Float64[Tensor, "member 1 class"] | None

OF_TARGET = ("y_mean", "y_std", "y_minimum", "y_maximum")


@dataclass(frozen=True, eq=False)
class NetworkPlan:
    """The members of a network, and the columns that they see.

    Args:
        models: the configuration of each member; they share a shape.
        seeds: of each member.
        dtype: of weights and inputs.
        statistics: float64, by their names in `mlplab.data.statistics.member_statistics`. With a log target,
            `y_mean` and `y_std` are those of the logarithm. None: the state of the network must be loaded.
        class_weight: the weight of each class in the loss; None if all are 1.
    """

    models: Sequence[config.ResolvedModel]
    seeds: Sequence[int]
    layout: FeatureLayout
    dtype: torch.dtype
    statistics: Mapping[str, Tensor] | None = None
    class_weight: ClassWeight = None

    @property
    def preprocessing(self) -> config.Preprocessing:
        """The section that all members share."""
        return self.models[0].preprocessing

    def known_statistics(self) -> Mapping[str, Tensor]:
        """The statistics, or placeholders of the same shapes."""
        if self.statistics is not None:
            return self.statistics
        layout, members = self.layout, len(self.seeds)
        row = torch.zeros(members, 1, len(layout.category_counts), dtype=torch.float64)
        present = torch.ones(members, 1, sum(layout.category_counts), dtype=torch.bool)
        target = dict.fromkeys(OF_TARGET, row.new_zeros(members, 1, layout.targets))
        return dict.fromkeys((*STATISTICS, "mode"), row) | target | {"present": present}
