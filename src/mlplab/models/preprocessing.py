"""The first layer of a network: scales, imputes and encodes a table's columns. It also holds the last layer,
which inverts the scaling of targets."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor, nn

from mlplab import config
from mlplab.models.class_probabilities import ClassProbabilities
from mlplab.models.embeddings import CategoryEncoder
from mlplab.models.feature_layout import FeatureLayout, preprocessed_width
from mlplab.models.input_scaling import SCALINGS, STATISTICS
from mlplab.models.skip_init import SkipInit
from mlplab.models.target_scaling import TargetScaling


class Preprocessing(nn.Module):
    """Transforms inputs and targets by statistics of each member's training rows.

    The inputs have the network's dtype. The transformed columns are the scaled numeric ones, missing-value
    indicators, one-hot columns and embeddings, in this order.

    Args:
        layout: the input columns.
        seeds: one for each member.
        dtype: of the inputs.
        statistics: float64, by their field names in `mlplab.data.statistics.Statistics`. With a log target,
            `y_mean` and `y_std` are those of the logarithm.
        classes: number of the target's classes; 0: the targets are numbers.
        class_weight: the weight of each class in the loss; None if all are 1.

    Attributes:
        width: number of columns after the transform.
        impute_value: replaces missing values; the median of numeric columns, the mode of categorical ones.
        target_transform: the last layer.
    """

    impute_value: Float[Tensor, "member 1 feature"]
    numeric: Int64[Tensor, " number"]
    indicators: Int64[Tensor, " indicator"]

    def __init__(
        self,
        section: config.Preprocessing,
        layout: FeatureLayout,
        seeds: Sequence[int],
        dtype: torch.dtype,
        statistics: Mapping[str, Tensor],
        classes: int,
        class_weight: Float64[Tensor, "member 1 class"] | None,
    ) -> None:
        super().__init__()
        self.width, self.has_missing = preprocessed_width(section, layout), any(layout.missing)
        numeric, indicators = (
            torch.tensor(columns, dtype=torch.int64) for columns in (layout.numeric, layout.indicators)
        )
        self.register_buffer("numeric", numeric, persistent=False)
        self.register_buffer("indicators", indicators, persistent=False)
        of_numbers = {name: statistics[name][..., numeric] for name in STATISTICS if name in statistics}
        self.scaling = SCALINGS[section.name](of_numbers, dtype)
        self.category_encoder = None
        if any(layout.categories):
            self.category_encoder = CategoryEncoder(
                section, layout, statistics["present"], statistics["mode"], seeds, dtype
            )
        is_numeric = torch.tensor(layout.categories) == 0
        impute_value = torch.where(is_numeric, statistics["median"], statistics["mode"])
        self.register_buffer("impute_value", impute_value.to(dtype))
        y_mean, y_std = statistics["y_mean"], statistics["y_std"]
        self.target_transform = (
            ClassProbabilities(classes, len(seeds), dtype, class_weight)
            if classes
            else TargetScaling(section.target, y_mean, y_std, dtype)
        )

    @property
    def dtype(self) -> torch.dtype:
        """Of the inputs."""
        return self.impute_value.dtype

    @property
    def features(self) -> int:
        """Number of input columns."""
        return self.impute_value.shape[2]

    @property
    def numbers(self) -> int:
        """Number of numeric columns; they come first among the transformed columns."""
        return len(self.numeric)

    @property
    def outputs(self) -> int:
        """Number of targets, or of the target's classes."""
        return self.target_transform.outputs

    def transform(
        self, x: Float[Tensor, "member batch feature"]
    ) -> Float[Tensor, "member batch transformed"]:
        """The columns that the body sees.

        Only columns with a missing-value indicator may hold NaN; `impute` replaces it in the others.
        """
        missing = x.isnan() if self.has_missing else None
        if missing is not None:
            x = torch.where(missing, self.impute_value, x)
        if self.category_encoder is None:
            parts = [self.scaling(x)]
        else:
            columns = self.category_encoder.columns
            unseen, encoded = self.category_encoder(x.index_select(2, columns))
            parts = [self.scaling(x.index_select(2, self.numeric)), *encoded]
            if missing is not None:
                missing.index_copy_(2, columns, missing.index_select(2, columns) | unseen)
        if missing is not None:
            parts.insert(1, missing.index_select(2, self.indicators).to(x.dtype))
        return torch.cat(parts, 2) if len(parts) > 1 else parts[0]

    def impute(self, x: Float[Tensor, "member batch feature"]) -> Float[Tensor, "member batch feature"]:
        """Replaces missing values (NaN) in the columns for which `transform` does not handle them."""
        missing = x.isnan().index_fill_(2, self.indicators, False)
        return torch.where(missing, self.impute_value, x)

    def shift(self, member: int, offset: Float64[Tensor, " feature"]) -> None:
        """Adapts a member to columns with `offset` added to their values; 0 for categories."""
        shifted = [
            (self.impute_value, offset),
            *((locations, offset[self.numeric]) for locations in self.scaling.locations()),
        ]
        for locations, added in shifted:
            locations[member] = locations[member].double() + added


def build_preprocessing(
    section: config.Preprocessing,
    layout: FeatureLayout,
    targets: int,
    seeds: Sequence[int],
    dtype: torch.dtype,
    statistics: Mapping[str, Tensor] | None,
    classes: int = 0,
    class_weight: Float64[Tensor, "member 1 class"] | None = None,
) -> Preprocessing:
    """The preprocessing of members with these seeds; without statistics, its state must be loaded later.

    Args:
        targets: number of targets.
        classes: number of the target's classes; 0: the targets are numbers.
        class_weight: the weight of each class in the loss; None if all are 1.
    """
    if statistics is None:
        members, features = len(seeds), len(layout.categories)
        row = torch.zeros(members, 1, features, dtype=torch.float64)
        statistics = {
            **dict.fromkeys((*STATISTICS, "mode"), row),
            **dict.fromkeys(("y_mean", "y_std"), row.new_zeros(members, 1, targets)),
            "present": torch.ones(members, 1, sum(layout.categories), dtype=torch.bool),
        }
        with SkipInit():
            return Preprocessing(section, layout, seeds, dtype, statistics, classes, class_weight)
    return Preprocessing(section, layout, seeds, dtype, statistics, classes, class_weight)
