"""The first layer of a network: scales, imputes and encodes a table's columns."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor, nn

from mlplab.models.embeddings.categories import CategoryEncoder, append_embeddings
from mlplab.models.network_plan import NetworkPlan
from mlplab.models.scaling import SCALINGS, STATISTICS
from mlplab.models.targets import ClassProbabilities, TargetScaling, TargetTransform


class Inputs(NamedTuple):
    """What a network's input consists of, but for the embeddings.

    Attributes:
        numbers: the numeric columns, imputed.
        scaled: the numeric columns, scaled.
        encoded: missing-value indicators and one-hot columns.
        embedded_rows: which rows of the embeddings' `weight` come last.
    """

    numbers: Float[Tensor, "member batch number"]
    scaled: Float[Tensor, "member batch number"]
    encoded: Sequence[Float[Tensor, "member batch _"]]
    embedded_rows: Int64[Tensor, "member batch embedded"]

    @property
    def columns(self) -> Float[Tensor, "member batch _"]:
        """The columns that the body sees."""
        return torch.cat([self.scaled, *self.encoded], 2) if self.encoded else self.scaled

    @property
    def unscaled(self) -> Float[Tensor, "member batch _"]:
        """`columns` with numbers in their own units."""
        return torch.cat([self.numbers, *self.encoded], 2) if self.encoded else self.numbers


class Preprocessing(nn.Module):
    """Transforms inputs and targets by statistics of each member's training rows.

    The transformed columns are the scaled numeric ones, missing-value indicators, one-hot columns and
    embeddings, in this order.

    Attributes:
        width: number of columns that the body sees; `unembedded_width` are no embeddings.
        embedded_categories: number of categories that have an embedding.
        columns: the number of the column that each of them comes from.
        impute_value: replaces missing values; the median of numeric columns, the mode of categorical ones.
        target_transform: the last layer of the network.
    """

    def __init__(self, plan: NetworkPlan) -> None:
        super().__init__()
        section, layout, dtype = plan.preprocessing, plan.layout, plan.dtype
        statistics = plan.known_statistics()
        self.columns, self.has_missing = layout.columns(section), any(layout.missing)
        self.width = len(self.columns)
        embedded = layout.categorical(section)[1]
        self.unembedded_width = self.width - section.embedding_dim * len(embedded)
        self.embedded_categories = sum(layout.category_counts[index] for index in embedded)
        self.numeric = nn.Buffer(torch.tensor(layout.numeric, dtype=torch.int64), persistent=False)
        self.indicators = nn.Buffer(torch.tensor(layout.indicators, dtype=torch.int64), persistent=False)
        numeric = {name: statistics[name][..., self.numeric] for name in STATISTICS if name in statistics}
        self.scaling = SCALINGS[section.name](numeric, dtype)
        self.category_encoder = CategoryEncoder(plan) if any(layout.category_counts) else None
        is_numeric = torch.tensor(layout.category_counts) == 0
        impute_value = torch.where(is_numeric, statistics["median"], statistics["mode"])
        self.impute_value: Float[Tensor, "member 1 feature"] = nn.Buffer(impute_value.to(dtype))
        kind: type[TargetTransform] = ClassProbabilities if layout.classes else TargetScaling
        self.target_transform: TargetTransform = kind(plan)

    def forward(self, x: Float[Tensor, "member batch feature"]) -> Inputs:
        """The input of the network.

        Only columns with a missing-value indicator may hold NaN; `impute` replaces it in the others.
        """
        missing = x.isnan() if self.has_missing else None
        if missing is not None:
            x = torch.where(missing, self.impute_value, x)
        numbers, encoded, embedded_rows = x, [], x.new_empty(*x.shape[:2], 0, dtype=torch.int64)
        if self.category_encoder is not None:
            columns = self.category_encoder.columns
            unseen, encoded, embedded_rows = self.category_encoder(x.index_select(2, columns))
            numbers = x.index_select(2, self.numeric)
            if missing is not None:
                missing.index_copy_(2, columns, missing.index_select(2, columns) | unseen)
        if missing is not None:
            encoded.insert(0, missing.index_select(2, self.indicators).to(x.dtype))
        return Inputs(numbers, self.scaling(numbers), encoded, embedded_rows)

    def with_embeddings(self, inputs: Inputs) -> Float[Tensor, "member batch transformed"]:
        """The columns that the body sees, embeddings included."""
        weight = None if self.category_encoder is None else self.category_encoder.weight
        if weight is None:
            return inputs.columns
        return append_embeddings(inputs.columns, weight, inputs.embedded_rows)

    def scaled(self, values: Float64[Tensor, "member _ feature"]) -> Float[Tensor, "member _ number"]:
        """Known values of all columns as `forward` scales those of the numeric ones."""
        return self.scaling(values[..., self.numeric].to(self.impute_value.dtype))

    def impute(self, x: Float[Tensor, "member batch feature"]) -> Float[Tensor, "member batch feature"]:
        """Replaces missing values (NaN) in the columns for which `forward` does not."""
        missing = x.isnan().index_fill_(2, self.indicators, False)
        return torch.where(missing, self.impute_value, x)

    def shift(self, member: int, offset: Float64[Tensor, " feature"]) -> None:
        """Adapts a member to columns with `offset` added to their values; 0 for categories."""
        shifted = [(locations, offset[self.numeric]) for locations in self.scaling.locations()]
        for locations, added in ((self.impute_value, offset), *shifted):
            locations[member] = locations[member].double() + added
