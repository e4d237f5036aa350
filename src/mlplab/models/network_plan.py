"""What a network is built from: its members, and the columns that they see."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from mlplab import config


@dataclass(frozen=True)
class FeatureLayout:
    """The input columns, in the table's order, and the target.

    Args:
        category_counts: number of categories of each column, coded from 0; 0 for numeric columns.
        missing: whether each column had missing values anywhere in the table.
        targets: number of targets.
        classes: number of the target's classes; 0 for regression.
        quantiles: the levels that a network outputs instead of a single target; none: it outputs targets.
    """

    category_counts: tuple[int, ...]
    missing: tuple[bool, ...]
    targets: int = 1
    classes: int = 0
    quantiles: Sequence[float] = ()

    @property
    def numeric(self) -> list[int]:
        """Indices of the numeric columns."""
        return [index for index, size in enumerate(self.category_counts) if size == 0]

    @property
    def indicators(self) -> list[int]:
        """Indices of the columns that get a missing-value indicator."""
        return [index for index, missing in enumerate(self.missing) if missing]

    def categorical(self, section: config.Preprocessing) -> tuple[list[int], list[int]]:
        """Indices of the columns with few categories, which are one-hot encoded, and of the embedded ones."""
        sizes, most = list(enumerate(self.category_counts)), section.one_hot_max_categories
        return [i for i, size in sizes if 0 < size <= most], [i for i, size in sizes if size > most]

    def columns(self, section: config.Preprocessing) -> list[int]:
        """The number of the column that each column after preprocessing comes from."""
        one_hot, embedded = self.categorical(section)
        from_one_hot = [index for index in one_hot for _ in range(self.category_counts[index])]
        from_embedded = [index for index in embedded for _ in range(section.embedding_dim)]
        return [*self.numeric, *self.indicators, *from_one_hot, *from_embedded]


ClassWeight = Float64[Tensor, "member 1 class"] | None

# What scalings of inputs need to know, each some of it; the last two only `Quantile`.
STATISTICS = ("mean", "std", "median", "q25", "q75", "minimum", "maximum", "quantiles", "quantile_count")


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
        names = "y_mean", "y_std", "y_minimum", "y_maximum"
        target = dict.fromkeys(names, row.new_zeros(members, 1, layout.targets))
        return dict.fromkeys((*STATISTICS, "mode"), row) | target | {"present": present}
