"""Scores of each member on validation or test rows."""

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
    """A mean over batches for each member, weighted by the rows of each batch."""

    def __init__(self) -> None:
        self.values: list[Float[Tensor, " member"]] = []
        self.rows: list[Float64[Tensor, " member"]] = []

    def add(self, values: Float[Tensor, " member"], rows: Float64[Tensor, " member"]) -> None:
        """Adds each member's mean over a batch, and the (weighted) number of its rows in the batch."""
        self.values.append(values)
        self.rows.append(rows)

    def state(self) -> dict[str, Float[Tensor, "member batch"]]:
        """What has been added since the last reset."""
        return {
            name: torch.stack(each, 1)
            for name, each in (("values", self.values), ("rows", self.rows))
            if each
        }

    def load_state(self, state: Mapping[str, Float[Tensor, "member batch"]]) -> None:
        """Restores a `state`."""
        values, rows = (state[name].unbind(1) if state else () for name in ("values", "rows"))
        self.values, self.rows = list(values), list(rows)

    def compute_and_reset(self) -> Float64[Tensor, " member"]:
        """The mean over everything added."""
        # [member, batch]: a member's values are contiguous, so their sum has one order in any stack.
        values, rows = torch.stack(self.values, 1).double(), torch.stack(self.rows, 1)
        self.values, self.rows = [], []
        return torch.where(rows > 0, values * rows, 0).sum(1) / rows.sum(1)


class Evaluation(torch.nn.Module):
    """Loss, rmse, mae and r2 over batches, in the targets' own units; errors are accumulated in float64.

    With several targets, `val/rmse` is the mean over targets and `val/rmse/TARGET` that of one target;
    likewise `mae` and `r2`.

    It is a module so that its sums move to the network's device. Members with the same number of rows are
    computed together.

    Args:
        rows: number of rows of each member.
        part: `val` or `test`, the prefix of the metrics' names.
        targets: names of the targets.
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
        """Predicts a batch and adds its loss and errors."""
        z = network.forward_scaled(batch.x)
        losses = self.loss(z, network.preprocessing.target_scaling.transform(batch.y), batch.weight)
        self.losses.add(losses, batch.rows())
        predicted = network.preprocessing.target_scaling.inverse_transform(z)
        for size, members, errors in self._parts():
            rows = min(size - self._seen, predicted.shape[1])
            if rows > 0:
                weight = None if batch.weight is None else batch.weight[members, :rows]
                errors.update(predicted[members, :rows], batch.y[members, :rows], weight)
        self._seen += predicted.shape[1]

    def compute_and_reset(self, network: Network) -> Values:
        """The metrics over all batches added."""
        loss = self.loss.in_target_units(
            self.losses.compute_and_reset(), network.preprocessing.target_scaling.std
        )
        values = {f"{self.part}/loss": loss}
        for _, members, errors in self._parts():
            for name, value in errors.compute().items():
                by_target = value.reshape(-1, len(self.targets))  # torchmetrics squeezes single numbers
                metrics = {f"{self.part}/{name}": by_target.mean(1)}
                if len(self.targets) > 1:
                    for target, column in zip(self.targets, by_target.unbind(1), strict=True):
                        metrics[f"{self.part}/{name}/{target}"] = column
                for key, of_members in metrics.items():
                    values.setdefault(key, torch.empty_like(loss))[members] = of_members
            errors.reset()
        self._seen = 0
        return values

    def _parts(self) -> Iterator[tuple[int, slice | Int64[Tensor, " _"], RegressionMetrics]]:
        for size, members, errors in zip(self.sizes, self.members, self.errors, strict=True):
            assert isinstance(errors, RegressionMetrics)
            yield size, members, errors
