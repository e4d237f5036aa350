"""Categories as one-hot columns or as embeddings."""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from mlplab.models.network_plan import NetworkPlan
from mlplab.random_streams import generator

Columns = Float[Tensor, "member batch _"]
Embeddings = Float[Tensor, "member category embedding"]
EmbeddedRows = Int64[Tensor, "member batch embedded"]


class CategoryEncoder(nn.Module):
    """Encodes all categorical columns at once.

    A category that does not occur in a member's training rows is replaced by the most frequent one.
    Embeddings are drawn from N(0, 1), with a generator seeded by the member's seed.

    Attributes:
        columns: indices of the categorical columns, one-hot columns first. Their categories are numbered
            consecutively in this order.
        counts: number of categories of each column.
        offsets: number of the first category of each column.
        lookup: for each category number, the number it is encoded as; `~number` if the category is replaced.
        weight: the embeddings; None without embedded columns.
    """

    parameter_group = "embeddings"

    def __init__(self, plan: NetworkPlan) -> None:
        super().__init__()
        layout, statistics = plan.layout, plan.known_statistics()
        one_hot, embedded = layout.categorical(plan.preprocessing)
        columns = [*one_hot, *embedded]
        counts = torch.tensor([layout.category_counts[index] for index in columns])
        offsets = counts.cumsum(0) - counts
        present_by_column = torch.split(statistics["present"], list(layout.category_counts), 2)
        present = torch.cat([present_by_column[index] for index in columns], 2)
        mode = (statistics["mode"][..., columns].long() + offsets).repeat_interleave(counts, 2)
        self.columns = nn.Buffer(torch.tensor(columns), persistent=False)
        self.counts, self.offsets = (nn.Buffer(each, persistent=False) for each in (counts, offsets))
        lookup = torch.where(present, torch.arange(present.shape[2]), ~mode)
        self.lookup: Int64[Tensor, "member 1 category"] = nn.Buffer(lookup)
        self.one_hot_columns, self.one_hot_width = len(one_hot), int(counts[: len(one_hot)].sum())
        self.weight: Float[Tensor, "member embedded embedding"] | None = None
        if embedded:
            empty = torch.empty(int(counts[len(one_hot) :].sum()), plan.preprocessing.embedding_dim)
            sources = [generator(seed, "embeddings") for seed in plan.seeds]
            drawn = [nn.init.normal_(empty.clone(), generator=source) for source in sources]
            self.weight = nn.Parameter(torch.stack(drawn).to(plan.dtype))

    def forward(
        self, codes: Float[Tensor, "member batch column"]
    ) -> tuple[Bool[Tensor, "member batch column"], list[Columns], EmbeddedRows]:
        """Returns which codes do not occur in the member's training rows, the one-hot columns, and which rows
        of `weight` embed the other columns."""
        unseen, numbers = self.replaced(codes.long() + self.offsets)
        encoded = []
        if self.one_hot_columns:
            zeros = codes.new_zeros(*codes.shape[:2], self.one_hot_width)
            encoded.append(zeros.scatter_(2, numbers[..., : self.one_hot_columns], 1))
        return unseen, encoded, numbers[..., self.one_hot_columns :] - self.one_hot_width

    def replaced(
        self, numbers: Int64[Tensor, "member batch column"]
    ) -> tuple[Bool[Tensor, "member batch column"], Int64[Tensor, "member batch column"]]:
        """Which categories do not occur in the member's training rows, and the number each is encoded as."""
        encoded_as = self.lookup[:, 0].gather(1, numbers.flatten(1)).view(numbers.shape)
        unseen = encoded_as < 0
        return unseen, torch.where(unseen, ~encoded_as, encoded_as)


def append_embeddings(columns: Columns, weight: Embeddings, rows: EmbeddedRows) -> Columns:
    """The columns, followed by the embeddings of each row."""
    index = rows.flatten(1).unsqueeze(2).expand(-1, -1, weight.shape[2])
    return torch.cat([columns, weight.gather(1, index).view(*rows.shape[:2], -1)], 2)


def embedding_gradient(grad_x: Columns, rows: EmbeddedRows, out: Embeddings) -> None:
    """Writes ∂L/∂weight, given the gradient at the result of `append_embeddings`."""
    index = rows.flatten(1).unsqueeze(2).expand(-1, -1, out.shape[2])
    grad_embedded = grad_x[..., grad_x.shape[2] - rows.shape[2] * out.shape[2] :].reshape(index.shape)
    out.zero_().scatter_add_(1, index, grad_embedded)
