"""Encodes categories: one-hot if a column has few, embeddings if it has many."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from mlplab import config
from mlplab.models.feature_layout import FeatureLayout
from mlplab.random_streams import generator


class CategoryEncoder(nn.Module):
    """Encodes all categorical columns at once.

    A category that does not occur in a member's training rows is replaced by the most frequent one.
    Embeddings are drawn from N(0, 1), with a generator seeded by the member's seed.

    Args:
        present: which categories occur in each member's training rows; the columns are concatenated.
        mode: the most frequent code of each column.
        seeds: one for each member.
        dtype: of the encoded columns.

    Attributes:
        columns: indices of the categorical columns, one-hot columns first. Their categories are numbered
            consecutively in this order.
        offsets: number of the first category of each column.
        lookup: for each category number, the number it is encoded as; `~number` if the category is replaced.
        weight: the embeddings; None without embedded columns.
    """

    columns: Int64[Tensor, " column"]
    offsets: Int64[Tensor, " column"]
    lookup: Int64[Tensor, "member 1 category"]
    weight: Float[Tensor, "member embedded embedding"] | None

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
        one_hot, embedded = layout.one_hot(section), layout.embedded(section)
        columns = [*one_hot, *embedded]
        sizes = torch.tensor([layout.categories[index] for index in columns])
        offsets = sizes.cumsum(0) - sizes
        present_by_column = torch.split(present, list(layout.categories), 2)
        present = torch.cat([present_by_column[index] for index in columns], 2)
        mode = (mode[..., columns].long() + offsets).repeat_interleave(sizes, 2)
        self.register_buffer("columns", torch.tensor(columns), persistent=False)
        self.register_buffer("offsets", offsets, persistent=False)
        self.register_buffer("lookup", torch.where(present, torch.arange(present.shape[2]), ~mode))
        self.one_hot_columns = len(one_hot)
        self.one_hot_width = sum(layout.categories[index] for index in one_hot)
        embeddings = [
            nn.init.normal_(
                torch.empty(int(sizes[len(one_hot) :].sum()), section.embedding_dim),
                generator=generator(seed, "embeddings"),
            )
            for seed in seeds
        ]
        self.weight = nn.Parameter(torch.stack(embeddings).to(dtype)) if embedded else None

    def forward(
        self, codes: Float[Tensor, "member batch column"]
    ) -> tuple[Bool[Tensor, "member batch column"], list[Float[Tensor, "member batch _"]]]:
        """Returns which codes do not occur in the member's training rows, and the encoded columns."""
        numbers = codes.long() + self.offsets
        found = self.lookup[:, 0].gather(1, numbers.flatten(1)).view(numbers.shape)
        unseen = found < 0
        numbers = torch.where(unseen, ~found, found)
        encoded = []
        if self.one_hot_columns:
            zeros = codes.new_zeros(*codes.shape[:2], self.one_hot_width)
            encoded.append(zeros.scatter_(2, numbers[..., : self.one_hot_columns], 1))
        if self.weight is not None:
            member = torch.arange(len(codes), device=codes.device).view(-1, 1, 1)
            rows = numbers[..., self.one_hot_columns :] - self.one_hot_width
            encoded.append(self.weight[member, rows].flatten(2))
        return unseen, encoded
