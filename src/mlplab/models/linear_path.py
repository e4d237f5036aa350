"""A linear model beside the body of a network."""

import torch
from jaxtyping import Float64
from torch import Tensor, nn

from mlplab.models.backpropagation import ROW_MULTIPLE
from mlplab.models.layers.linear import affine
from mlplab.models.linear_models import Solution
from mlplab.models.preprocessing import Inputs, Preprocessing
from mlplab.models.targets import ClassProbabilities, Outputs

# Weights of embedded categories, of all outputs; where there would be more, there are none. Those of classes
# take longer: 2^15 some seconds.
MOST_CATEGORY_WEIGHTS, MOST_OF_CLASSES = 2**18, 2**15


class LinearPath(nn.Module):
    """A linear model of the columns in their own units, beside the body of a network.

    With the output u of the linear model and z of the body, that of the network is (1 − s)z + (r + s − rs)u.
    The linear model is fitted to each member's training rows before its training. Where it is nearly exact,
    r is 1, so that the body learns what it leaves over; elsewhere, that is harder to learn than the target,
    and r is 0. The share s is chosen on held-out rows when training has ended; until then, it is 0.

    Categories with an embedding have weights, too. For numbers, these are their effects in a linear mixed
    model; 0 where ridge regression is nearly exact without them. A category that does not occur in training
    has none.

    Attributes:
        mode_for_unknown: 1 in states of 1.0, where such a category has the weight of the most frequent one.
    """

    def __init__(self, columns: int, outputs: int, members: int, categories: int = 0) -> None:
        super().__init__()

        def zeros(rows: int, outputs: int = outputs) -> Float64[Tensor, "member _ _"]:
            return nn.Buffer(torch.zeros(members, rows, outputs, dtype=torch.float64))

        self.weight, self.category_weight, self.bias = zeros(columns), zeros(categories), zeros(1)
        self.lowest, self.highest, self.residual = zeros(1), zeros(1), zeros(1)
        self.share, self.mode_for_unknown = zeros(1, 1), zeros(1, 1)
        self.register_load_state_dict_pre_hook(LinearPath.add_missing)  # type: ignore[no-untyped-call]

    def forward(self, inputs: Inputs) -> Outputs:
        """u = xW + b in float64, within the limits; x has a one-hot column for each category with a weight.

        A row gets the same bits in a step and in a block of steps: see `ROW_MULTIPLE`.
        """
        columns = inputs.unscaled
        rows = columns.shape[1]
        padded = nn.functional.pad(columns.double(), (0, 0, 0, -rows % ROW_MULTIPLE))
        u = affine(padded, self.weight, self.bias)[:, :rows]
        if self.category_weight.shape[1]:
            used = inputs.known + ~inputs.known * self.mode_for_unknown
            for numbers, share in zip(inputs.embedded_rows.unbind(2), torch.split(used, 1, 2), strict=True):
                u = u + share * self.category_weight.gather(1, numbers[..., None].expand_as(u))
        return u.clamp(self.lowest, self.highest).to(columns.dtype)

    def offset(self, inputs: Inputs) -> Outputs | None:
        """ru, which is added to the output of the body in training; None if r is 0."""
        return self(inputs) * self.residual.to(inputs.numbers.dtype) if self.residual.any() else None

    def combine(self, z: Outputs, u: Outputs, share: Float64[Tensor, "member 1 1"] | float) -> Outputs:
        """(1 − s)z + (r + s − rs)u."""
        of_linear = self.residual + share - self.residual * share
        return ((1 - share) * z + of_linear * u).to(z.dtype)

    def output(self, z: Outputs, inputs: Inputs) -> Outputs:
        """The output of the network, given that of the body."""
        is_used = self.residual.any() or self.share.any()
        return self.combine(z, self(inputs), self.share) if is_used else z

    def set(self, member: int, solution: Solution) -> None:
        """Sets a member's linear model."""
        weight, columns = solution.weight, self.weight.shape[1]
        self.weight[member] = weight[:columns]
        self.category_weight[member] = weight[columns:] if len(weight) > columns else 0
        for name in ("bias", "lowest", "highest", "residual"):
            getattr(self, name)[member] = getattr(solution, name)

    def shift(self, member: int, offset: Float64[Tensor, " number"]) -> None:
        """Adapts a member to numeric columns, which come first, with `offset` added to their values."""
        self.bias[member] -= offset @ self.weight[member, : len(offset)]

    def add_missing(self, state_dict: dict[str, Tensor], prefix: str, *_: object) -> None:
        """Adds what 1.0 did not have: weights of categories, which are 0, and a path of them alone."""
        new = {"mode_for_unknown": self.share} if self.weight.shape[1] else dict(self.named_buffers())
        for name, tensor in new.items():
            value = torch.full_like(tensor, name == "mode_for_unknown")
            state_dict.setdefault(f"{prefix}{name}", value)
        if not state_dict.get(key := f"{prefix}category_weight", self.share[:, :0]).numel():
            state_dict[key] = torch.zeros_like(self.category_weight)


def build_linear_path(preprocessing: Preprocessing, members: int) -> LinearPath | None:
    """The linear path of a network; None if it would have no weights."""
    columns, categories = preprocessing.unembedded_width, sum(preprocessing.category_counts)
    transform = preprocessing.target_transform
    outputs, is_of_classes = transform.outputs, isinstance(transform, ClassProbabilities)
    if categories * outputs > (MOST_OF_CLASSES if is_of_classes else MOST_CATEGORY_WEIGHTS):
        categories = 0
    return LinearPath(columns, outputs, members, categories) if columns or categories else None
