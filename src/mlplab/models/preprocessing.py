"""The network's first and last step: a table's centred columns in, target units out."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor, nn

from mlplab import config
from mlplab.models.embeddings import Categories
from mlplab.models.feature_layout import FeatureLayout, preprocessed_width
from mlplab.models.layers import elementwise
from mlplab.models.scaling import SCALINGS, STATISTICS


class Preprocessing(nn.Module):
    """Encodes inputs and targets by statistics of each member's training rows.

    Inputs have the network's dtype, targets in their own units are float64. The hidden layers see numbers,
    then indicators of missing values, then one column a category, then learned vectors; predictions come
    back in the target's own units.

    Args:
        layout: what the columns are.
        seeds: one for each member.
        dtype: of the inputs.
        statistics: float64, by the names of their fields in `mlplab.data.statistics`. Those of the target
            are of its logarithm, if that is what the loss sees.

    Attributes:
        width: columns that the hidden layers see.
        impute_value: what a missing value is taken for, the median or the most frequent code.
    """

    impute_value: Float[Tensor, "member 1 feature"]
    y_mean: Float64[Tensor, "member 1 target"]
    y_std: Float64[Tensor, "member 1 target"]
    numbers: Int64[Tensor, " number"]
    incomplete: Int64[Tensor, " incomplete"]

    def __init__(
        self,
        section: config.Preprocessing,
        layout: FeatureLayout,
        seeds: Sequence[int],
        dtype: torch.dtype,
        statistics: Mapping[str, Tensor],
    ) -> None:
        super().__init__()
        self.width, self.has_missing = preprocessed_width(section, layout), any(layout.missing)
        self.log = section.target == "log"
        numbers, incomplete = (
            torch.tensor(features, dtype=torch.int64) for features in (layout.numbers, layout.incomplete)
        )
        self.register_buffer("numbers", numbers, persistent=False)
        self.register_buffer("incomplete", incomplete, persistent=False)
        of_numbers = {name: statistics[name][..., numbers] for name in STATISTICS if name in statistics}
        self.scaling = SCALINGS[section.name](of_numbers, dtype)
        self.categories = None
        if any(layout.categories):
            self.categories = Categories(
                section, layout, statistics["present"], statistics["mode"], seeds, dtype
            )
        is_number = torch.tensor(layout.categories) == 0
        impute_value = torch.where(is_number, statistics["median"], statistics["mode"])
        self.register_buffer("impute_value", impute_value.to(dtype))
        y_mean, y_std = statistics["y_mean"], statistics["y_std"]
        raw = section.target == "none"
        self.register_buffer("y_mean", torch.zeros_like(y_mean) if raw else y_mean.clone())
        self.register_buffer("y_std", torch.ones_like(y_std) if raw else y_std.clone())

    @property
    def dtype(self) -> torch.dtype:
        """Of the inputs."""
        return self.impute_value.dtype

    @property
    def features(self) -> int:
        """Columns of inputs."""
        return self.impute_value.shape[2]

    @property
    def targets(self) -> int:
        """Columns to predict."""
        return self.y_mean.shape[2]

    def transform(self, x: Float[Tensor, "member batch feature"]) -> Float[Tensor, "member batch encoded"]:
        """Inputs as the hidden layers see them.

        Missing values are looked for only if the layout has some: `filled` does away with others.
        """
        gaps = x.isnan() if self.has_missing else None
        if gaps is not None:
            x = torch.where(gaps, self.impute_value, x)
        if self.categories is None:
            parts = [self.scaling(x)]
        else:
            columns = self.categories.columns
            unseen, encoded = self.categories(x.index_select(2, columns))
            parts = [self.scaling(x.index_select(2, self.numbers)), *encoded]
            if gaps is not None:
                gaps.index_copy_(2, columns, gaps.index_select(2, columns) | unseen)
        if gaps is not None:
            parts.insert(1, gaps.index_select(2, self.incomplete).to(x.dtype))
        return torch.cat(parts, 2) if len(parts) > 1 else parts[0]

    def impute(self, x: Float[Tensor, "member batch feature"]) -> Float[Tensor, "member batch feature"]:
        """Inputs without missing values (NaN), but where `encode` looks for them."""
        missing = x.isnan().index_fill_(2, self.incomplete, False)
        return torch.where(missing, self.impute_value, x)

    def transform_target(
        self, y: Float64[Tensor, "member batch target"]
    ) -> Float[Tensor, "member batch target"]:
        """Targets as the loss sees them."""
        values = elementwise(torch.log, y) if self.log else y
        return ((values - self.y_mean) / self.y_std).to(self.dtype)

    def inverse_transform_target(
        self, z: Float[Tensor, "member batch target"]
    ) -> Float64[Tensor, "member batch target"]:
        """The output layer's values in the target's units."""
        values = z.double() * self.y_std + self.y_mean
        return elementwise(torch.exp, values) if self.log else values

    def shift(self, member: int, moved: Float64[Tensor, " feature"]) -> None:
        """Lets a member take columns that are centred elsewhere: `moved` is added to each of its places on
        the number line. It is 0 for categories."""
        places = [
            (self.impute_value, moved),
            *((each, moved[self.numbers]) for each in self.scaling.locations()),
        ]
        for place, by in places:
            place[member] = place[member].double() + by


def build_preprocessing(
    section: config.Preprocessing,
    layout: FeatureLayout,
    targets: int,
    seeds: Sequence[int],
    dtype: torch.dtype,
    statistics: Mapping[str, Tensor] | None,
) -> Preprocessing:
    """An preprocessing of members with those seeds; without statistics one whose state a checkpoint gives."""
    if statistics is None:
        members, features = len(seeds), len(layout.categories)
        row = torch.zeros(members, 1, features, dtype=torch.float64)
        statistics = {
            **dict.fromkeys((*STATISTICS, "mode"), row),
            **dict.fromkeys(("y_mean", "y_std"), row.new_zeros(members, 1, targets)),
            "present": torch.ones(members, 1, sum(layout.categories), dtype=torch.bool),
        }
    return Preprocessing(section, layout, seeds, dtype, statistics)
