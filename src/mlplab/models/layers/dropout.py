"""Dropout, with masks of each member's own."""

from collections.abc import Sequence
from functools import partial

import torch
from jaxtyping import Float64, Int64, Shaped, UInt8
from torch import Tensor, nn

from mlplab.models.backpropagation import Buffer, Input, Operation, Workspace
from mlplab.random_streams import generator

# Random bits of the steps that are drawn at once, in bytes: few enough to stay in the processor's cache.
DRAWN_BYTES = 2**20


class Dropout(nn.Module):
    """Inverted dropout (Srivastava et al. 2014) with a separate rate and separate masks for each member.

    Most of the time goes into random numbers, so each value gets only 8 random bits. Input equal to the
    first 8 bits of the rate are decided by 8 more, which a row shares. So rates are exact to 2⁻¹⁶, but at
    most 0.996. Input in different rows are dropped independently; within a row, the covariance of being
    dropped is at most 2⁻¹⁸.

    Args:
        rates: probability that a value is dropped, one for each member.
        index: position of the layer in the network.
    """

    def __init__(self, rates: Sequence[float], seeds: Sequence[int], index: int = 0) -> None:
        super().__init__()
        self.seeds, self.index = list(seeds), index
        dropped = (torch.tensor(rates, dtype=torch.float64) * 2**16).round().clamp(max=255 * 2**8)
        buffer = partial(nn.Buffer, persistent=False)
        self.dropped = buffer(dropped.to(torch.int64).reshape(-1, 1, 1))
        self.scale, self.threshold, self.remainder = map(buffer, _decisions(self.dropped))
        self._generators: list[torch.Generator] = []
        self._masks: Masks | None = None

    def scale_rates(self, factors: Sequence[float] | Float64[Tensor, " member"], members: slice) -> None:
        """Sets the rates of some members to what they were at first, times factors of at most 1."""
        factor = torch.as_tensor(factors, dtype=torch.float64, device=self.dropped.device).reshape(-1, 1, 1)
        decisions = _decisions((self.dropped[members] * factor).round())
        for buffer, values in zip((self.scale, self.threshold, self.remainder), decisions, strict=True):
            buffer[members] = values

    def forward(self, x: Input) -> Input:
        """Masks and rescales in training mode; returns the input otherwise."""
        if not self.training:
            return x
        mask = torch.empty_like(x)
        Masks(self, mask).fill(steps=1)
        return x * mask

    def operation(self, a: Buffer, workspace: Workspace) -> Operation:
        """a ∘ mask, whose values are 0 or 1/(1 − rate); the same mask on the way back."""
        output, mask = workspace.new(a.width), workspace.new(a.width)
        masks = Masks(self, mask.values, workspace.members)

        def forward() -> None:
            masks.fill(workspace.steps_left)
            torch.mul(a.flat, mask.flat, out=output.flat)

        def backward(gradient: Buffer) -> Buffer:
            torch.mul(gradient.flat, mask.flat, out=output.flat)
            return output

        return Operation(output, forward, backward)

    def operation_with_relu(self, z: Buffer, workspace: Workspace) -> Operation:
        """relu(z) ∘ mask, in place: the gradient is 0 where the result is, so the mask is used once."""
        mask = workspace.gradient(z.width)  # not in use during the forward pass
        masks, scale = Masks(self, mask.values, workspace.members), self.scale[workspace.members]

        def forward() -> None:
            masks.fill(workspace.steps_left)
            torch.relu_(z.flat)
            z.values.mul_(mask.values)

        def backward(gradient: Buffer) -> Buffer:
            torch.ops.aten.threshold_backward.grad_input(gradient.flat, z.flat, 0, grad_input=z.flat)
            z.values.mul_(scale)
            return z

        return Operation(z, forward, backward)

    def generators(self, device: torch.device) -> list[torch.Generator]:
        """The generator of each member, in its current state."""
        if not self._generators or self._generators[0].device != device:
            self._generators = [generator(seed, "dropout", self.index, device) for seed in self.seeds]
        return self._generators

    def states(self, device: torch.device) -> list[Tensor]:
        """The state of each member's generator after the masks that have been used."""
        if self._masks is None or not self._masks.unused:
            return [source.get_state() for source in self.generators(device)]
        return self._masks.states()


def _decisions(dropped: Shaped[Tensor, "member 1 1"]) -> tuple[Tensor, Tensor, Tensor]:
    """Scale, threshold and remainder, which decide what is dropped, given how many of 2¹⁶ values are."""
    scale = 1 / (1 - dropped.double() / 2**16)
    return scale, (dropped // 2**8).to(torch.uint8), (dropped % 2**8).to(torch.uint8)


class Masks:
    """Masks that are filled in one after another: 0 where a value is dropped, 1/(1 − rate) elsewhere.

    The random bits of several steps are drawn at once, in the order in which single steps draw them.

    Args:
        out: what each mask is written to.
        members: of the layer, to which `out` belongs.

    Attributes:
        unused: the bits, of values and of rows, of the masks that have been drawn and not yet filled in.
    """

    def __init__(self, layer: Dropout, out: Input, members: slice = slice(None)) -> None:
        self.layer, self.out, self.members = layer, out, members
        self._decide = layer.remainder[members], layer.threshold[members], layer.scale[members]
        self.unused: list[tuple[UInt8[Tensor, "member batch feature"], UInt8[Tensor, "member batch 1"]]] = []
        count, rows, features = out.shape
        self._length = -(-rows * (features + 1) // 8)  # of a step's bits, in 64-bit integers
        self._most = max(1, DRAWN_BYTES // (8 * count * self._length))
        self._drawn: Int64[Tensor, "member step length"] = torch.empty(0, dtype=torch.int64)
        self._before: list[Tensor] = []

    def fill(self, steps: int) -> None:
        """Writes the next mask, and may draw the masks of all `steps`, this one included."""
        if not self.unused:
            self._draw(min(steps, self._most))
        value_bits, row_bits = self.unused.pop()
        remainder, threshold, scale = self._decide
        torch.ge(value_bits, (row_bits < remainder) + threshold, out=self.out).mul_(scale)

    def _draw(self, steps: int) -> None:
        members, rows, features = self.out.shape
        sources = self.layer.generators(self.out.device)[self.members]
        self._before = [source.get_state() for source in sources] if steps > 1 else []
        self._drawn = self.out.new_empty(members, steps, self._length, dtype=torch.int64)
        for bits, source in zip(self._drawn, sources, strict=True):
            bits.random_(-(2**63), None, generator=source)
        values = rows * features
        for step_bits in reversed(self._drawn.view(torch.uint8).unbind(1)):
            row_bits = step_bits[:, values : values + rows].view(members, rows, 1)
            self.unused.append((step_bits[:, :values].view(self.out.shape), row_bits))
        self.layer._masks = self

    def states(self) -> list[Tensor]:
        """The state of each member's generator as if the unused masks had not been drawn."""
        used, states = self._drawn.shape[1] - len(self.unused), []
        for before in self._before:
            source = torch.Generator(self.out.device)
            source.set_state(before)
            self._drawn.new_empty(used, self._length).random_(-(2**63), None, generator=source)
            states.append(source.get_state())
        return states
