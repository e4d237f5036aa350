"""Piecewise-linear embeddings of numeric columns."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mlplab.models.backpropagation import Buffer, Workspace
from mlplab.models.embeddings.columnwise import Column, ColumnwiseEmbedding, Encoding, Features

Knots = Float[Tensor, "member knot number"]


class PiecewiseLinear(ColumnwiseEmbedding):
    """Replaces each numeric column x by learned functions of it, linear between knots t₀ ≤ t₁ ≤ ….

    Their features are x, and for each bin from t to t′, clamp((x − t)/(t′ − t), 0, 1) (Gorishniy et al. 2022,
    arXiv 2203.05556, equation 1). Unlike there, the first and the last bin are clamped on both sides, so that
    the slope in a narrow one does not decide about values beyond the knots. The weights of the bins are 0 at
    first, so that the functions are linear until they have learned more (version B of TabM, arXiv
    2410.24210). An empty bin, between knots that are equal but for rounding, has the feature 0.

    Args:
        knots: of the numeric columns, which come first; ascending.

    Attributes:
        pieces: four tensors, one after another: the features are clamp(slope · x + intercept, lower, upper).
    """

    REPLACES = True

    def __init__(self, knots: Knots, width: int, seeds: Sequence[int]) -> None:
        bins, numbers = knots.shape[1] - 1, knots.shape[2]
        super().__init__(numbers, 1 + bins, width, seeds, bound=width**-0.5)
        with torch.no_grad():
            torch.unflatten(self.weight, 1, (numbers, -1))[:, :, 1:] = 0
        self.pieces: Float[Tensor, "member 4*number feature"] = nn.Buffer(_pieces(knots.mT))

    def terms(self, members: slice = slice(None)) -> tuple[Float[Tensor, "member number 1 feature"], ...]:
        """Slope, intercept, lower and upper limit of the features of some members."""
        return torch.unflatten(self.pieces[members], 1, (4, -1)).unsqueeze(3).unbind(1)

    def encode(self, column: Column) -> Features:
        """x, and the feature of each bin."""
        slope, intercept, lower, upper = self.terms()
        return torch.addcmul(intercept, column, slope).clamp(lower, upper)

    def encoding(self, planes: Buffer, workspace: Workspace) -> Encoding:
        """The features; only those that are not clamped have a gradient."""
        slope, intercept, lower, upper = self.terms(workspace.members)
        features = torch.unflatten(planes.values, 0, (-1, self.numbers))

        def forward(column: Column) -> None:
            torch.addcmul(intercept, column, slope, out=features)
            torch.clamp(features, lower, upper, out=features)

        def grad_column(gradient: Features) -> Float[Tensor, "member number batch"]:
            return torch.where((features > lower) & (features < upper), gradient * slope, 0).sum(3)

        return Encoding(forward, None, grad_column)


def _pieces(knots: Float[Tensor, "member number knot"]) -> Float[Tensor, "member 4*number feature"]:
    """The `pieces` of x itself, which is not clamped, and of each bin."""
    limits, widths = torch.finfo(knots.dtype), knots.diff()
    rounding = 64 * limits.eps * torch.maximum(knots[..., 1:].abs(), knots[..., :-1].abs())
    slope = torch.where(widths > rounding.clamp(min=limits.tiny), 1 / widths, 0)
    of_bins = slope, -knots[..., :-1] * slope, torch.zeros_like(slope), torch.ones_like(slope)
    of_x = 1, 0, limits.min, limits.max
    terms = zip(of_bins, of_x, strict=True)
    return torch.cat([nn.functional.pad(bins, (1, 0), value=x) for bins, x in terms], 1)
