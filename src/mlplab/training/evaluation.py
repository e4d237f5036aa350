"""How good a network is on rows it does not train on, member by member."""

from collections.abc import Iterator, Mapping, Sequence

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor
from torchmetrics import MeanAbsoluteError, MeanSquaredError, MetricCollection

from mlplab.data.loader import Batch
from mlplab.nets import Network
from mlplab.training.losses import Loss
from mlplab.training.metrics import R2

Values = dict[str, Float[Tensor, " member"]]


class Mean:
    """A mean over batches for each member, weighted by rows."""

    def __init__(self) -> None:
        self.values: list[Float[Tensor, " member"]] = []
        self.rows: list[Float64[Tensor, " member"]] = []

    def add(self, values: Float[Tensor, " member"], rows: Float64[Tensor, " member"]) -> None:
        """Adds the means over a batch of so many rows."""
        self.values.append(values)
        self.rows.append(rows)

    def state(self) -> dict[str, Float[Tensor, "member batch"]]:
        """What was added since the last time."""
        return {
            name: torch.stack(each, 1)
            for name, each in (("values", self.values), ("rows", self.rows))
            if each
        }

    def load_state(self, state: Mapping[str, Float[Tensor, "member batch"]]) -> None:
        """Goes on from another's `state`."""
        values, rows = (state[name].unbind(1) if state else () for name in ("values", "rows"))
        self.values, self.rows = list(values), list(rows)

    def take(self) -> Float64[Tensor, " member"]:
        """The mean, and a fresh start."""
        # [member, batch], so that a member's sum runs along memory, and in the same order in any stack.
        values, rows = torch.stack(self.values, 1).double(), torch.stack(self.rows, 1)
        self.values, self.rows = [], []
        return torch.where(rows > 0, values * rows, 0).sum(1) / rows.sum(1)


class Evaluation(torch.nn.Module):
    """Loss, rmse, mae and r2 over batches, in the target's own units; errors are summed up in float64.

    A module, so that its sums go to the device where the network is. Members with equally many rows are
    summed up together.

    Args:
        rows: of each member in this part.
        part: the name before the slash, `val` or `test`.
    """

    def __init__(self, loss: Loss, rows: Sequence[int], part: str) -> None:
        super().__init__()
        self.part, self.loss, self.losses = part, loss, Mean()
        self.sizes = sorted(set(rows))
        self.members: list[slice | Int64[Tensor, " _"]] = [
            torch.tensor([member for member, count in enumerate(rows) if count == size])
            for size in self.sizes
        ]
        if len(self.sizes) == 1:
            self.members = [slice(None)]
        self.metrics = torch.nn.ModuleList(_metrics(list(rows).count(size), part) for size in self.sizes)
        self._seen = 0

    def add(self, network: Network, batch: Batch) -> None:
        """Predicts a batch and adds its errors."""
        z = network.encoded(batch.x)
        losses = self.loss(z, network.encoder.encode_target(batch.y), batch.weight)
        self.losses.add(losses, batch.rows())
        predicted, target = network.encoder.decode(z).squeeze(2), batch.y.squeeze(2)
        for size, members, metrics in self._parts():
            rows = min(size - self._seen, predicted.shape[1])
            if rows > 0:
                metrics.update(predicted[members, :rows].T, target[members, :rows].T)
        self._seen += predicted.shape[1]

    def take(self, network: Network) -> Values:
        """The values over all batches since the last time."""
        values = {f"{self.part}/loss": self.loss.in_target_units(self.losses.take(), network.encoder.y_std)}
        for _, members, metrics in self._parts():
            for name, value in metrics.compute().items():
                values.setdefault(name, torch.empty_like(values[f"{self.part}/loss"]))[members] = (
                    value.reshape(-1)
                )
            metrics.reset()
        self._seen = 0
        return values

    def _parts(self) -> Iterator[tuple[int, slice | Int64[Tensor, " _"], MetricCollection]]:
        for size, members, metrics in zip(self.sizes, self.members, self.metrics, strict=True):
            assert isinstance(metrics, MetricCollection)
            yield size, members, metrics


def _metrics(members: int, part: str) -> MetricCollection:
    return MetricCollection(
        {
            "rmse": MeanSquaredError(squared=False, num_outputs=members),
            "mae": MeanAbsoluteError(num_outputs=members),
            "r2": R2(members),
        },
        prefix=f"{part}/",
    ).set_dtype(torch.float64)
