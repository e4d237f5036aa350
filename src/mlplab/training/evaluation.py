"""How good a network is on rows it does not train on, member by member."""

from collections.abc import Iterator, Mapping, Sequence

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from mlplab.data.loader import Batch
from mlplab.models import Network
from mlplab.training.losses import Loss
from mlplab.training.metrics import RegressionMetrics

Values = dict[str, Float[Tensor, " member"]]


class Mean:
    """A mean over batches for each member, weighted by what their rows count."""

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

    def compute_and_reset(self) -> Float64[Tensor, " member"]:
        """The mean, and a fresh start."""
        # [member, batch], so that a member's sum runs along memory, and in the same order in any stack.
        values, rows = torch.stack(self.values, 1).double(), torch.stack(self.rows, 1)
        self.values, self.rows = [], []
        return torch.where(rows > 0, values * rows, 0).sum(1) / rows.sum(1)


class Evaluation(torch.nn.Module):
    """Loss, rmse, mae and r2 over batches, in the targets' own units; errors are summed up in float64.

    Of several targets `val/rmse` is the mean, and `val/rmse/TARGET` that of one; so with `mae` and `r2`.

    A module, so that its sums go to the device where the network is. Members with equally many rows are
    summed up together.

    Args:
        rows: of each member in this part.
        part: the name before the slash, `val` or `test`.
        targets: their names.
    """

    def __init__(self, loss: Loss, rows: Sequence[int], part: str, targets: Sequence[str]) -> None:
        super().__init__()
        self.part, self.loss, self.losses, self.targets = part, loss, Mean(), list(targets)
        self.sizes = sorted(set(rows))
        self.members: list[slice | Int64[Tensor, " _"]] = [
            torch.tensor([member for member, count in enumerate(rows) if count == size])
            for size in self.sizes
        ]
        if len(self.sizes) == 1:
            self.members = [slice(None)]
        self.errors = torch.nn.ModuleList(
            RegressionMetrics(list(rows).count(size), len(self.targets)) for size in self.sizes
        )
        self._seen = 0

    def add(self, network: Network, batch: Batch) -> None:
        """Predicts a batch and adds its errors."""
        z = network.forward_scaled(batch.x)
        losses = self.loss(z, network.preprocessing.transform_target(batch.y), batch.weight)
        self.losses.add(losses, batch.rows())
        predicted = network.preprocessing.inverse_transform_target(z)
        for size, members, errors in self._parts():
            rows = min(size - self._seen, predicted.shape[1])
            if rows > 0:
                weight = None if batch.weight is None else batch.weight[members, :rows]
                errors.update(predicted[members, :rows], batch.y[members, :rows], weight)
        self._seen += predicted.shape[1]

    def compute_and_reset(self, network: Network) -> Values:
        """The values over all batches since the last time."""
        loss = self.loss.in_target_units(self.losses.compute_and_reset(), network.preprocessing.y_std)
        values = {f"{self.part}/loss": loss}
        for _, members, errors in self._parts():
            for name, value in errors.compute().items():
                of_targets = value.reshape(
                    -1, len(self.targets)
                )  # of a single number torchmetrics has no shape
                told = {f"{self.part}/{name}": of_targets.mean(1)}
                if len(self.targets) > 1:
                    each = zip(self.targets, of_targets.unbind(1), strict=True)
                    told |= {f"{self.part}/{name}/{target}": one for target, one in each}
                for key, of_members in told.items():
                    values.setdefault(key, torch.empty_like(loss))[members] = of_members
            errors.reset()
        self._seen = 0
        return values

    def _parts(self) -> Iterator[tuple[int, slice | Int64[Tensor, " _"], RegressionMetrics]]:
        for size, members, errors in zip(self.sizes, self.members, self.errors, strict=True):
            assert isinstance(errors, RegressionMetrics)
            yield size, members, errors
