"""Categories as columns: few as one column each, many as learned vectors."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from mlplab import config
from mlplab.models.feature_layout import FeatureLayout
from mlplab.random_streams import generator


class Categories(nn.Module):
    """Encodes the codes of all features that have categories, in a few operations for all of them.

    A category that a member's training rows lack is taken for the most frequent one in them. Learned vectors
    are drawn from N(0, 1), each member's from the generator of its own seed.

    Args:
        present: which categories a member's training rows hold, of all features one after another.
        mode: the most frequent code of each feature.
        seeds: one for each member.
        dtype: of the columns.

    Attributes:
        columns: the features whose codes are encoded, those with few categories first. Their categories
            have numbers, counted through in that order.
        table: by a category's number the one it is taken for; if that is another, what is kept is `~number`.
        weight: the learned vectors, if there are features with many categories.
    """

    columns: Int64[Tensor, " column"]
    begins: Int64[Tensor, " column"]
    table: Int64[Tensor, "member 1 category"]
    weight: Float[Tensor, "member large embedding"] | None

    def __init__(
        self,
        section: config.Preprocessing,
        layout: FeatureLayout,
        present: Bool[Tensor, "member 1 category"],
        mode: Float[Tensor, "member 1 feature"],
        seeds: Sequence[int],
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        small, large = layout.small(section), layout.large(section)
        columns = [*small, *large]
        sizes = torch.tensor([layout.categories[feature] for feature in columns])
        begins = sizes.cumsum(0) - sizes
        of_feature = torch.split(present, list(layout.categories), 2)
        taken = (mode[..., columns].long() + begins).repeat_interleave(sizes, 2)
        there = torch.cat([of_feature[feature] for feature in columns], 2)
        self.register_buffer("columns", torch.tensor(columns), persistent=False)
        self.register_buffer("begins", begins, persistent=False)
        self.register_buffer("table", torch.where(there, torch.arange(len(taken[0, 0])), ~taken))
        self.small, self.width = len(small), sum(layout.categories[feature] for feature in small)
        drawn = [
            nn.init.normal_(
                torch.empty(int(sizes[self.small :].sum()), section.embedding_dim),
                generator=generator(seed, "embeddings"),
            )
            for seed in seeds
        ]
        self.weight = nn.Parameter(torch.stack(drawn).to(dtype)) if large else None

    def forward(
        self, codes: Float[Tensor, "member batch column"]
    ) -> tuple[Bool[Tensor, "member batch column"], list[Float[Tensor, "member batch _"]]]:
        """Which codes a member's training rows lack, and the encoded columns."""
        numbers = codes.long() + self.begins
        found = self.table[:, 0].gather(1, numbers.flatten(1)).view(numbers.shape)
        unseen = found < 0
        taken = torch.where(unseen, ~found, found)
        encoded = []
        if self.small:
            zeros = codes.new_zeros(*codes.shape[:2], self.width)
            encoded.append(zeros.scatter_(2, taken[..., : self.small], 1))
        if self.weight is not None:
            member = torch.arange(len(codes), device=codes.device).view(-1, 1, 1)
            encoded.append(self.weight[member, taken[..., self.small :] - self.width].flatten(2))
        return unseen, encoded
