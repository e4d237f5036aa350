"""Dropout, with masks of each member's own."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from mlplab.models.backpropagation import Buffer, Operation, Workspace
from mlplab.random_streams import generator


class Dropout(nn.Module):
    """Inverted dropout (Srivastava et al. 2014) with a separate rate and separate masks for each member.

    Most of the time goes into random numbers, so each value gets only 8 random bits. Values equal to the
    first 8 bits of the rate are decided by 8 more, which a row shares. So rates are exact to 2⁻¹⁶, but at
    most 0.996. Values in different rows are dropped independently; within a row, the covariance of being
    dropped is at most 2⁻¹⁸.

    Args:
        rates: probability that a value is dropped, one for each member.
        index: position of the layer in the network.
    """

    scale: Float[Tensor, "member 1 1"]
    threshold: UInt8[Tensor, "member 1 1"]
    remainder: UInt8[Tensor, "member 1 1"]

    def __init__(self, rates: Sequence[float], seeds: Sequence[int], index: int = 0) -> None:
        super().__init__()
        self.seeds, self.index = list(seeds), index
        dropped = (torch.tensor(rates, dtype=torch.float64) * 2**16).round().clamp(max=255 * 2**8)
        for name, values in (
            ("scale", 1 / (1 - dropped / 2**16)),
            ("threshold", (dropped // 2**8).to(torch.uint8)),
            ("remainder", (dropped % 2**8).to(torch.uint8)),
        ):
            self.register_buffer(name, values.reshape(-1, 1, 1), persistent=False)
        self._generators: list[torch.Generator] = []
        self._bits = torch.empty(len(self.seeds), 0, dtype=torch.int64)

    def forward(self, x: Float[Tensor, "member batch feature"]) -> Float[Tensor, "member batch feature"]:
        """Masks and rescales in training mode; returns the input otherwise."""
        return x * self.draw(torch.empty_like(x)) if self.training else x

    def operation(self, a: Buffer, workspace: Workspace) -> Operation:
        """a ∘ mask, whose values are 0 or 1/(1 − rate); the same mask on the way back."""
        output, mask = workspace.new(a.width), workspace.new(a.width)

        def forward() -> None:
            self.draw(mask.values)
            torch.mul(a.flat, mask.flat, out=output.flat)

        def backward(gradient: Buffer) -> Buffer:
            torch.mul(gradient.flat, mask.flat, out=output.flat)
            return output

        return Operation(output, forward, backward)

    def operation_with_relu(self, z: Buffer, workspace: Workspace) -> Operation:
        """relu(z) ∘ mask, in place: the gradient is 0 where the result is, so the mask is used once."""
        mask = workspace.gradient(z.width)  # not in use during the forward pass

        def forward() -> None:
            self.draw(mask.values)
            torch.relu_(z.flat)
            z.values.mul_(mask.values)

        def backward(gradient: Buffer) -> Buffer:
            torch.ops.aten.threshold_backward.grad_input(gradient.flat, z.flat, 0, grad_input=z.flat)
            z.values.mul_(self.scale)
            return z

        return Operation(z, forward, backward)

    def draw(self, out: Float[Tensor, "member batch feature"]) -> Float[Tensor, "member batch feature"]:
        """Fills `out` with new masks: 0 where a value is dropped, 1/(1 − rate) elsewhere."""
        members, rows, features = out.shape
        values, length = rows * features, -(-rows * (features + 1) // 8)
        if self._bits.shape[1] != length or self._bits.device != out.device:
            with torch.inference_mode(False):
                self._bits = torch.empty(members, length, dtype=torch.int64, device=out.device)
        for bits, source in zip(self._bits, self.generators(out.device), strict=True):
            bits.random_(-(2**63), None, generator=source)
        drawn = self._bits.view(torch.uint8)
        value_bits = drawn[:, :values].view(out.shape)
        row_bits = drawn[:, values : values + rows].view(members, rows, 1)
        threshold = (row_bits < self.remainder) + self.threshold
        return torch.ge(value_bits, threshold, out=out).mul_(self.scale)

    def generators(self, device: torch.device) -> list[torch.Generator]:
        """The generator of each member, in its current state."""
        if not self._generators or self._generators[0].device != device:
            self._generators = [generator(seed, "dropout", self.index, device) for seed in self.seeds]
        return self._generators
