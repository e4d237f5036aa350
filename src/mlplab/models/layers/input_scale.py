"""Input scale: a learned factor for each feature of the input."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mlplab.models.backpropagation import Buffer, Input, Operation, Workspace


class InputScale(nn.Module):
    """x ∘ s, with factors s that are learned from 1 on.

    Input that matter grow quickly: one factor has the effect of a whole row of the first layer's weights
    (RealMLP, arXiv 2407.04491).
    """

    parameter_group = "input_scale"

    def __init__(self, features: int, members: int) -> None:
        super().__init__()
        self.weight: Float[Tensor, "member 1 feature"] = nn.Parameter(torch.ones(members, 1, features))

    def forward(self, x: Input) -> Input:
        """x ∘ s."""
        return x * self.weight

    def operation(self, x: Buffer, workspace: Workspace) -> Operation:
        """x ∘ s; ∂L/∂s = Σ x ∘ g (over the rows), ∂L/∂x = s ∘ g, with the gradient g of the result."""
        [(scale, grad_scale)] = workspace.parameters_of(self, "weight")
        output = workspace.new(x.width)

        def forward() -> None:
            torch.mul(x.values, scale, out=output.values)

        def backward(gradient: Buffer) -> Buffer:
            torch.mul(x.values, gradient.values, out=output.values)
            torch.sum(output.values, 1, keepdim=True, out=grad_scale)
            if x.needs_gradient:
                torch.mul(gradient.values, scale, out=output.values)
            return output

        return Operation(output, forward, backward)
