"""Scales numeric columns by statistics of each member's training rows."""

from collections.abc import Mapping

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor, nn

from mlplab.models.layers.activation import elementwise

STATISTICS = ("mean", "std", "median", "q25", "q75", "minimum", "maximum", "quantiles", "quantile_count")
"""What scalings need to know, each some of it; the last two only `Quantile`."""

Statistics = Mapping[str, Float64[Tensor, "member _ number"]]
Numbers = Float[Tensor, "member batch number"]
Row = Float[Tensor, "member 1 number"]


class Scaling(nn.Module):
    """Returns numbers of this dtype unchanged; base class of the others."""

    LOCATION: str | None = None
    """The statistic that shifts along with the numbers, if there is one."""

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

    FAR = 1e9
    """Values beyond this are clipped to ±3 to all digits; its square fits into float32."""

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

    LIMIT = 5.2
    """Output beyond the outermost quantiles; the normal quantile of about 1 − 1e-7."""

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


SCALINGS = {"standard": Standard, "robust_clip": RobustClip, "quantile": Quantile, "none": Scaling}
"""By their names in the configuration."""
