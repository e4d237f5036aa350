"""Tensors that a network reuses from step to step."""

from jaxtyping import Float, Float64
from torch import Tensor

from mlplab.models import layers


class Buffer:
    """The values of one layer for a batch.

    They are padded so that a member gets the same bits alone and anywhere in a stack: each row to a multiple
    of 4 values for matrix products (see `layers.Linear`), and all rows to a multiple of `VECTOR_SIZE` values
    for elementwise functions (see `layers.elementwise`).

    Args:
        like: a tensor with the members, rows, dtype and device of the batch.

    Attributes:
        flat: `[member, value]`, with all padding.
        padded: `[member, batch, unit]`, with the padding of rows. It must be finite, and 0 in δ.
        values: `[member, batch, unit]`, without padding.
    """

    needs_gradient = True
    """Whether the gradient of the loss at these values is needed."""

    def __init__(self, like: Float[Tensor, "member batch _"], width: int) -> None:
        members, rows, _ = like.shape
        self.width, stride = width, width + -width % 4
        size = rows * stride
        self.flat = like.new_zeros(members, size + -size % layers.VECTOR_SIZE)
        self.padded = self.flat[:, :size].view(members, rows, stride)
        self.values = self.padded[..., :width]

    def clear_padding(self) -> None:
        """Sets the padding of rows to 0, since only `values` have been written."""
        if self.padded.shape[2] > self.width:
            self.padded[..., self.width :].zero_()


class InputBuffer(Buffer):
    """The current batch itself, without padding."""

    def __init__(self, *, needs_gradient: bool) -> None:
        self.needs_gradient = needs_gradient

    def set(self, x: Float[Tensor, "member batch feature"]) -> None:
        """Replaces the batch."""
        self.padded = self.values = x


class Buffers:
    """Allocates the buffers of a pass.

    Args:
        x: a batch; the buffers have its members, rows, dtype and device.

    Attributes:
        input: the batch of the current pass.
    """

    def __init__(self, x: Float[Tensor, "member batch feature"]) -> None:
        self._like = x.new_empty(*x.shape[:2], 0)
        self._weight: Float[Tensor, "member batch 1"] | None
        self._shares: Float64[Tensor, "member batch 1"] | None
        self.input = InputBuffer(needs_gradient=x.requires_grad)
        self.set_weight(None)
        self._gradients: dict[int, Buffer] = {}

    def set_weight(self, weight: Float[Tensor, "member batch 1"] | None) -> None:
        """Sets the weights of the current batch's rows."""
        self._weight, self._shares = weight, None

    @property
    def shares(self) -> Float64[Tensor, "member batch 1"] | None:
        """The `row_shares` of the current batch, for batch norms; None if all weights are equal."""
        if self._shares is None and self._weight is not None:
            self._shares = layers.row_shares(self._weight)
        return self._shares

    def new(self, width: int) -> Buffer:
        """A buffer for a layer of this width."""
        return Buffer(self._like, width)

    def gradient(self, width: int) -> Buffer:
        """A buffer for the gradient at a layer's input, which all layers of the same width share."""
        if width not in self._gradients:
            self._gradients[width] = self.new(width)
        return self._gradients[width]
