"""Layer norm and batch norm."""

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from mlplab.models.backpropagation import Buffer, Operation, RowWeight, Workspace

Values = Float[Tensor, "member batch feature"]
PerFeature = Float[Tensor, "member 1 feature"]
Shares = Float64[Tensor, "member batch 1"]


class LayerNorm(nn.Module):
    """Zero mean and unit variance over a row's features, then a scale and a shift (Ba et al. 2016)."""

    def __init__(self, features: int, members: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(members, 1, features))
        self.bias = nn.Parameter(torch.zeros(members, 1, features))

    def forward(self, x: Values, row_weight: RowWeight = None) -> Values:
        """γx̂ + β, with x̂ normalised over a row; the weights of rows do not matter."""
        normed = nn.functional.layer_norm(x, x.shape[-1:], eps=self.eps)
        return torch.addcmul(self.bias, normed, self.weight)

    def operation(self, z: Buffer, workspace: Workspace) -> Operation:
        """The same; the derivative goes through mean and variance of each row."""
        output, shape, gamma, beta = workspace.new(z.width), (z.width,), self.weight, self.bias
        normed = mean = rstd = z.values

        def forward() -> None:
            nonlocal normed, mean, rstd
            normed, mean, rstd = torch.native_layer_norm(z.values, shape, None, None, self.eps)
            torch.addcmul(beta, normed, gamma, out=output.values)
            output.clear_padding()

        def backward(gradient: Buffer, grad_gamma: Tensor, grad_beta: Tensor) -> Buffer:
            _add_gradients(gradient.values, normed, grad_gamma, grad_beta)
            grad_z, _, _ = torch.ops.aten.native_layer_norm_backward(
                gradient.values * gamma, z.values, shape, mean, rstd, None, None, [True, False, False]
            )
            z.values.copy_(grad_z)
            return z

        return Operation(output, forward, backward, self)


class BatchNorm(nn.Module):
    """Zero mean and unit variance over a member's batch, then a scale and a shift (Ioffe & Szegedy 2015).

    As in `torch.nn.BatchNorm1d`, the running variance is unbiased and `momentum` is the weight of the new
    batch. A member with a single row is normalised by the running statistics.

    With row weights, mean and variance are weighted, and a row of weight 0 is no row. The running variance is
    multiplied by n/(n − 1) with the effective number of rows n = (Σw)²/Σw² (Kish 1965), which does not
    depend on the unit of the weights. So a row of weight 2 counts as two rows in all but this factor.
    """

    running_mean: PerFeature
    running_var: PerFeature

    def __init__(self, features: int, members: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight = nn.Parameter(torch.ones(members, 1, features))
        self.bias = nn.Parameter(torch.zeros(members, 1, features))
        self.register_buffer("running_mean", torch.zeros(members, 1, features))
        self.register_buffer("running_var", torch.ones(members, 1, features))

    def forward(self, x: Values, row_weight: RowWeight = None) -> Values:
        """γx̂ + β, with x normalised by its own statistics in training mode, by the running ones otherwise."""
        mean, var = self.statistics(x, None if row_weight is None else row_shares(row_weight))
        return torch.addcmul(self.bias, (x - mean) * (var + self.eps).rsqrt(), self.weight)

    def operation(self, z: Buffer, workspace: Workspace) -> Operation:
        """The same; the derivative goes through mean and variance of the batch, if it was normalised by them.

        See Ioffe & Szegedy 2015, section 3: δ = (g − p(Σg + x̂Σgx̂))/σ, with the gradient g of x̂, for a row
        with the share p of the weights; p is 0 if its member was normalised by running statistics.
        """
        output, gamma, beta = workspace.new(z.width), self.weight, self.bias
        normed = rstd = z.values
        shares: Shares | None = None
        uses_batch = False

        def forward() -> None:
            nonlocal normed, rstd, shares, uses_batch
            if workspace.shares is None and workspace.row_weight is not None:
                workspace.shares = row_shares(workspace.row_weight)
            uses_batch, shares = self.uses_batch(z.values), workspace.shares
            mean, var = self.statistics(z.values, shares)
            rstd = (var + self.eps).rsqrt()
            normed = (z.values - mean) * rstd
            torch.addcmul(beta, normed, gamma, out=output.values)
            output.clear_padding()

        def backward(gradient: Buffer, grad_gamma: Tensor, grad_beta: Tensor) -> Buffer:
            _add_gradients(gradient.values, normed, grad_gamma, grad_beta)
            g = gradient.values * gamma
            if uses_batch and shares is None:
                g = g - g.mean(1, keepdim=True) - normed * (g * normed).mean(1, keepdim=True)
            elif uses_batch and shares is not None:
                along = (g * normed).sum(1, keepdim=True)
                g = g - shares.to(g.dtype) * (g.sum(1, keepdim=True) + normed * along)
            torch.mul(g, rstd, out=z.values)
            return z

        return Operation(output, forward, backward, self)

    def uses_batch(self, x: Values) -> bool:
        """Whether `x` is normalised by its own statistics."""
        return self.training and x.shape[1] > 1

    def statistics(self, x: Values, shares: Shares | None = None) -> tuple[PerFeature, PerFeature]:
        """Mean and variance that `x` is normalised by; updates the running ones in training mode.

        Args:
            shares: `row_shares` of the rows' weights; None: all equal.
        """
        if not self.uses_batch(x):
            return self.running_mean, self.running_var
        if shares is None:
            mean = x.mean(1, keepdim=True)
            var = (x - mean).square().mean(1, keepdim=True)  # `var` rounds differently in a stack
            rows = x.shape[1]
            unbiased = var.detach() * (rows / (rows - 1))
        else:
            has_rows, share = shares.any(1, keepdim=True), shares.to(x.dtype)
            mean = torch.where(has_rows, (share * x).sum(1, keepdim=True), self.running_mean)
            var = (share * (x - mean).square()).sum(1, keepdim=True)
            var = torch.where(has_rows, var, self.running_var)
            rest = 1 - shares.square().sum(1, keepdim=True)  # 1 − 1/n
            unbiased = var.detach() / rest.clamp(min=torch.finfo(rest.dtype).eps).to(x.dtype)
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(unbiased, self.momentum)
        return mean, var


def _add_gradients(gradient: Tensor, normed: Tensor, grad_gamma: Tensor, grad_beta: Tensor) -> None:
    grad_gamma.add_((gradient * normed).sum(1, keepdim=True))
    grad_beta.add_(gradient.sum(1, keepdim=True))


def row_shares(weight: Float[Tensor, "member batch 1"]) -> Shares:
    """The share of each row in its member's sum of weights; 0 unless two of these weights are above 0."""
    weight = weight.double()
    several = (weight > 0).sum(1, keepdim=True) > 1
    return torch.where(several, weight / weight.sum(1, keepdim=True), 0)
