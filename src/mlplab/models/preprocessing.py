"""The first layer of a network: scales, imputes and encodes a table's columns."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor, nn

from mlplab.models.category_encoder import CategoryEncoder, append_embeddings
from mlplab.models.layers.activation import elementwise
from mlplab.models.network_plan import STATISTICS, NetworkPlan
from mlplab.models.targets import ClassProbabilities, TargetScaling, TargetTransform

Statistics = Mapping[str, Float64[Tensor, "member _ number"]]
Numbers = Float[Tensor, "member batch number"]
Row = Float[Tensor, "member 1 number"]


class Scaling(nn.Module):
    """Returns numbers of this dtype unchanged; base class of the others."""

    # The statistic that shifts along with the numbers, if there is one.
    LOCATION: str | None = None

    def __init__(self, statistics: Statistics, dtype: torch.dtype) -> None:
        super().__init__()

    def forward(self, x: Numbers) -> Numbers:
        """Scaled numbers."""
        return x

    def locations(self) -> list[Float[Tensor, "member location number"]]:
        """A view of the statistic that shifts along with the numbers."""
        return [getattr(self, self.LOCATION)] if self.LOCATION else []


class Standard(Scaling):
    """Zero mean and unit variance."""

    LOCATION = "mean"

    def __init__(self, statistics: Statistics, dtype: torch.dtype) -> None:
        super().__init__(statistics, dtype)
        self.mean: Row = nn.Buffer(statistics["mean"].to(dtype))
        self.std: Row = nn.Buffer(statistics["std"].to(dtype))

    def forward(self, x: Numbers) -> Numbers:
        """(x − mean)/std."""
        return (x - self.mean) / self.std


class RobustClip(Scaling):
    """Zero median and unit interquartile range, outliers clipped smoothly to ±3 (RealMLP, arXiv 2407.04491).

    If the interquartile range is 0, half the range from minimum to maximum is used instead.
    """

    LOCATION = "median"

    # Values beyond this are clipped to ±3 to all digits; its square fits into float32.
    FAR = 1e9

    def __init__(self, statistics: Statistics, dtype: torch.dtype) -> None:
        super().__init__(statistics, dtype)
        quartiles = statistics["q75"] - statistics["q25"]
        spread = torch.where(quartiles > 0, quartiles, (statistics["maximum"] - statistics["minimum"]) / 2)
        scale = torch.where(spread > 0, 1 / spread, 0).clamp(max=torch.finfo(dtype).max)
        self.median: Row = nn.Buffer(statistics["median"].to(dtype))
        self.scale: Row = nn.Buffer(scale.to(dtype))

    def forward(self, x: Numbers) -> Numbers:
        """z/√(1 + (z/3)²) with z = (x − median) · scale."""
        z = ((x - self.median) * self.scale).clamp(-self.FAR, self.FAR)
        return z / (1 + (z / 3).square()).sqrt()


class Quantile(Scaling):
    """Maps numbers to a normal distribution by their rank among the member's quantiles.

    Like scikit-learn's `QuantileTransformer`, except that a value equal to several quantiles gets their
    middle rank at both ends of the distribution, too.

    Attributes:
        quantiles: ascending. The last one is repeated up to the same length for all members, so that a
            member's tensors have one shape alone and in any stack.
        last: index of each member's last quantile.
    """

    # Output beyond the outermost quantiles; the normal quantile of about 1 − 1e-7.
    LIMIT = 5.2

    def __init__(self, statistics: Statistics, dtype: torch.dtype) -> None:
        super().__init__(statistics, dtype)
        quantiles = statistics["quantiles"].mT.to(dtype).contiguous()
        self.quantiles: Float[Tensor, "member number quantile"] = nn.Buffer(quantiles)
        self.last: Int64[Tensor, "member number 1"] = nn.Buffer(statistics["quantile_count"].mT.long() - 1)
        self.register_load_state_dict_pre_hook(Quantile.resize)  # type: ignore[no-untyped-call]

    def forward(self, x: Numbers) -> Numbers:
        """√2 erf⁻¹(2p − 1), with p linear between quantiles."""
        values = x.mT.contiguous()
        below, above = (  # int32 takes a third less time
            torch.searchsorted(self.quantiles, values, right=right, out_int32=True).long()
            for right in (True, False)
        )
        below, above = (below - 1).clamp(min=0).minimum(self.last), above.minimum(self.last)
        low, high = self.quantiles.gather(2, below), self.quantiles.gather(2, above)
        fraction = torch.where(high > low, (values - low) / (high - low), 0.5)
        rank = below + fraction * (above - below)
        normal = elementwise(torch.erfinv, 2 * rank / self.last - 1) * 2**0.5
        return normal.clamp(-self.LIMIT, self.LIMIT).mT.contiguous()

    def locations(self) -> list[Float[Tensor, "member location number"]]:
        """The quantiles."""
        return [self.quantiles.mT]

    def resize(self, state_dict: dict[str, Tensor], prefix: str, *_: object) -> None:
        """Takes over the number of quantiles from a state that is about to be loaded."""
        if isinstance(saved := state_dict.get(f"{prefix}quantiles"), Tensor):
            self.quantiles = self.quantiles.new_empty(*self.quantiles.shape[:2], *saved.shape[2:3])


# By their names in the configuration.
SCALINGS = {"standard": Standard, "robust_clip": RobustClip, "quantile": Quantile, "none": Scaling}


class Inputs(NamedTuple):
    """What a network's input consists of, but for the embeddings.

    Attributes:
        numbers: the numeric columns, imputed.
        scaled: the numeric columns, scaled.
        encoded: missing-value indicators and one-hot columns.
        embedded_rows: which rows of the embeddings' `weight` come last.
        known: whether these stand for the cell itself; for a missing cell, and for a category that does not
            occur in training, they are those of the most frequent category.
    """

    numbers: Float[Tensor, "member batch number"]
    scaled: Float[Tensor, "member batch number"]
    encoded: Sequence[Float[Tensor, "member batch _"]]
    embedded_rows: Int64[Tensor, "member batch embedded"]
    known: Bool[Tensor, "member batch embedded"]

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
        embedded, category_counts: the columns that have embeddings, and their numbers of categories.
        columns: the number of the column that each of them comes from.
        impute_value: replaces missing values; the median of numeric columns, the mode of categorical ones.
        target_transform: the last layer of the network.
    """

    def __init__(self, plan: NetworkPlan) -> None:
        super().__init__()
        section, layout, dtype = plan.preprocessing, plan.layout, plan.dtype
        statistics = plan.known_statistics()
        self.columns, embedded = layout.columns(section), layout.categorical(section)[1]
        self.has_missing = any(layout.missing) or bool(embedded)
        self.width = len(self.columns)
        self.unembedded_width = self.width - section.embedding_dim * len(embedded)
        self.embedded = nn.Buffer(torch.tensor(embedded, dtype=torch.int64), persistent=False)
        self.category_counts = [layout.category_counts[index] for index in embedded]
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

        Only columns with a missing-value indicator or with embeddings may hold NaN; `impute` replaces it in
        the others.
        """
        missing = x.isnan() if self.has_missing else None
        if missing is not None:
            x = torch.where(missing, self.impute_value, x)
        numbers, encoded, embedded_rows = x, [], x.new_empty(*x.shape[:2], 0, dtype=torch.int64)
        known = embedded_rows.bool()
        if self.category_encoder is not None:
            columns = self.category_encoder.columns
            unseen, encoded, embedded_rows = self.category_encoder(x.index_select(2, columns))
            numbers = x.index_select(2, self.numeric)
            if missing is not None:
                missing.index_copy_(2, columns, missing.index_select(2, columns) | unseen)
                known = ~missing.index_select(2, self.embedded)
        if missing is not None:
            encoded.insert(0, missing.index_select(2, self.indicators).to(x.dtype))
        return Inputs(numbers, self.scaling(numbers), encoded, embedded_rows, known)

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
        missing = x.isnan().index_fill_(2, torch.cat([self.indicators, self.embedded]), False)
        return torch.where(missing, self.impute_value, x)

    def shift(self, member: int, offset: Float64[Tensor, " feature"]) -> None:
        """Adapts a member to columns with `offset` added to their values; 0 for categories."""
        shifted = [(locations, offset[self.numeric]) for locations in self.scaling.locations()]
        for locations, added in ((self.impute_value, offset), *shifted):
            locations[member] = locations[member].double() + added
