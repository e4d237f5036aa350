"""Layer norm: the features of each row are normalised."""

import torch
from torch import nn

from mlplab.models.backpropagation import Buffer, Input, Operation, Workspace


class LayerNorm(nn.Module):
    """Zero mean and unit variance over a row's features, then a scale and a shift (Ba et al. 2016)."""

    def __init__(self, features: int, members: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(members, 1, features))
        self.bias = nn.Parameter(torch.zeros(members, 1, features))

    def forward(self, x: Input) -> Input:
        """γx̂ + β, with x̂ normalised over a row."""
        normed = nn.functional.layer_norm(x, x.shape[-1:], eps=self.eps)
        return torch.addcmul(self.bias, normed, self.weight)

    def operation(self, z: Buffer, workspace: Workspace) -> Operation:
        """γx̂ + β; the derivative goes through mean and variance of each row."""
        output, shape = workspace.new(z.width), (z.width,)
        (gamma, grad_gamma), (beta, grad_beta) = workspace.parameters_of(self, "weight", "bias")
        normed = mean = rstd = z.values

        def forward() -> None:
            nonlocal normed, mean, rstd
            normed, mean, rstd = torch.native_layer_norm(z.values, shape, None, None, self.eps)
            torch.addcmul(beta, normed, gamma, out=output.values)
            output.clear_padding()

        def backward(gradient: Buffer) -> Buffer:
            torch.sum(gradient.values * normed, 1, keepdim=True, out=grad_gamma)
            torch.sum(gradient.values, 1, keepdim=True, out=grad_beta)
            grad_z, _, _ = torch.ops.aten.native_layer_norm_backward(
                gradient.values * gamma, z.values, shape, mean, rstd, None, None, [True, False, False]
            )
            z.values.copy_(grad_z)
            return z

        return Operation(output, forward, backward)
