"""How numbers are brought to one scale: each member's by statistics of its own training rows."""

from collections.abc import Mapping

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor, nn

from mlplab.models.layers import elementwise

STATISTICS = (
    "mean",
    "std",
    "median",
    "q25",
    "q75",
    "smallest",
    "largest",
    "quantiles",
    "quantile_count",
)
"""Of numbers; each kind of scaling takes its own."""

Statistics = Mapping[str, Float64[Tensor, "member _ number"]]
Numbers = Float[Tensor, "member batch number"]


class Scaling(nn.Module):
    """Leaves numbers as they are.

    Args:
        statistics: by their names in `STATISTICS`; quantiles only where they are needed.
        dtype: of the numbers.
    """

    def __init__(self, statistics: Statistics, dtype: torch.dtype) -> None:
        super().__init__()

    def forward(self, x: Numbers) -> Numbers:
        """Numbers as the hidden layers see them."""
        return x

    def locations(self) -> list[Float[Tensor, "member place number"]]:
        """What is a place on the number line, as views: it moves with what columns are centred by."""
        return []


class Standard(Scaling):
    """Zero mean and unit variance."""

    mean: Float[Tensor, "member 1 number"]
    std: Float[Tensor, "member 1 number"]

    def __init__(self, statistics: Statistics, dtype: torch.dtype) -> None:
        super().__init__(statistics, dtype)
        self.register_buffer("mean", statistics["mean"].to(dtype))
        self.register_buffer("std", statistics["std"].to(dtype))

    def forward(self, x: Numbers) -> Numbers:
        """(x − mean)/deviation."""
        return (x - self.mean) / self.std

    def locations(self) -> list[Float[Tensor, "member place number"]]:
        """The means."""
        return [self.mean]


class RobustClip(Scaling):
    """Zero median and unit interquartile range, outliers drawn in to ±3 (RealMLP, arXiv 2407.04491).

    Where more than half of the values are equal, half the range from the smallest to the largest stands for
    the interquartile one.
    """

    median: Float[Tensor, "member 1 number"]
    scale: Float[Tensor, "member 1 number"]

    FAR = 1e9
    """Scaled values whose image is ±3 to all digits, and whose square float32 holds."""

    def __init__(self, statistics: Statistics, dtype: torch.dtype) -> None:
        super().__init__(statistics, dtype)
        quartiles = statistics["q75"] - statistics["q25"]
        spread = torch.where(quartiles > 0, quartiles, (statistics["largest"] - statistics["smallest"]) / 2)
        scale = torch.where(spread > 0, 1 / spread, 0).clamp(max=torch.finfo(dtype).max)
        self.register_buffer("median", statistics["median"].to(dtype))
        self.register_buffer("scale", scale.to(dtype))

    def forward(self, x: Numbers) -> Numbers:
        """z/√(1 + (z/3)²) of z = (x − median) · scale."""
        z = ((x - self.median) * self.scale).clamp(-self.FAR, self.FAR)
        return z / (1 + (z / 3).square()).sqrt()

    def locations(self) -> list[Float[Tensor, "member place number"]]:
        """The medians."""
        return [self.median]


class Quantile(Scaling):
    """A normal distribution, whatever the numbers' own is: by their place among the member's quantiles.

    As scikit-learn's `QuantileTransformer`, but of equal quantiles the middle one counts at both ends too.

    Attributes:
        quantiles: those of each member, ascending; the last one repeated fills up to the same number for all,
            so that a member's tensors have one shape alone and in any stack.
        last: the place of each member's last one.
    """

    quantiles: Float[Tensor, "member number quantile"]
    last: Int64[Tensor, "member number 1"]

    LIMIT = 5.2
    """Beyond the outermost quantiles; the normal quantile of about 1 − 1e-7."""

    def __init__(self, statistics: Statistics, dtype: torch.dtype) -> None:
        super().__init__(statistics, dtype)
        self.register_buffer("quantiles", statistics["quantiles"].mT.to(dtype).contiguous())
        self.register_buffer("last", statistics["quantile_count"].mT.long() - 1)

    def forward(self, x: Numbers) -> Numbers:
        """√2 erf⁻¹(2p − 1), p linear between quantiles."""
        values = x.mT.contiguous()
        below, above = (  # int32 takes a third less time
            torch.searchsorted(self.quantiles, values, right=right, out_int32=True).long()
            for right in (True, False)
        )
        below, above = (below - 1).clamp(min=0).minimum(self.last), above.minimum(self.last)
        low, high = self.quantiles.gather(2, below), self.quantiles.gather(2, above)
        share = torch.where(high > low, (values - low) / (high - low), 0.5)
        place = below + share * (above - below)
        normal = elementwise(torch.erfinv, 2 * place / self.last - 1) * 2**0.5
        return normal.clamp(-self.LIMIT, self.LIMIT).mT.contiguous()

    def locations(self) -> list[Float[Tensor, "member place number"]]:
        """The quantiles."""
        return [self.quantiles.mT]

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *arguments: object) -> None:
        """How many quantiles there are is the state's to say."""
        if isinstance(kept := state_dict.get(f"{prefix}quantiles"), Tensor):
            self.quantiles = self.quantiles.new_empty(*self.quantiles.shape[:2], *kept.shape[2:3])
        super()._load_from_state_dict(state_dict, prefix, *arguments)


SCALINGS: dict[str, type[Scaling]] = {
    "standard": Standard,
    "robust_clip": RobustClip,
    "quantile": Quantile,
    "none": Scaling,
}
"""By their names in the configuration."""
