"""Scores of each member on validation or test rows, and its predictions."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from mlplab.data.loader import Batch
from mlplab.models import Network
from mlplab.models.class_probabilities import ClassProbabilities
from mlplab.training.class_metrics import ClassificationMetrics
from mlplab.training.losses import Loss, batch_losses
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


def predictions(network: Network, batches: Iterable[Batch]) -> Float64[Tensor, "member row output"]:
    """The predictions of each member for its rows of all batches, and for their padding."""
    preprocessing = network.eval().preprocessing
    device, transform = preprocessing.impute_value.device, preprocessing.target_transform
    with torch.inference_mode():
        found = (network.forward_scaled(batch.to(device).x) for batch in batches)
        return torch.cat([transform.inverse_transform(each) for each in found], 1)


class Evaluation(torch.nn.Module):
    """Loss and metrics over batches: of numbers in the targets' own units, or of classes.

    With several targets, `val/rmse` is the mean over targets and `val/rmse/TARGET` that of one target;
    likewise `mae` and `r2`.

    It is a module so that its sums move to the network's device. Members with the same number of rows are
    computed together.

    Args:
        rows: number of rows of each member.
        part: `val` or `test`, the prefix of the metrics' names.
        targets: names of the targets.
        classes: number of the target's classes; 0: the targets are numbers.
        keep: whether to keep the predictions.

    Attributes:
        predictions: those of each batch since the last reset, with padding.
    """

    def __init__(
        self,
        loss: Loss,
        rows: Sequence[int],
        part: str,
        targets: Sequence[str],
        classes: int = 0,
        *,
        keep: bool = False,
    ) -> None:
        super().__init__()
        self.keep, self.predictions = keep, list[Float64[Tensor, "member batch output"]]()
        self.part, self.loss, self.losses, self.targets = part, loss, Mean(), list(targets)
        self.sizes = sorted(set(rows))
        self.members: list[slice | Int64[Tensor, " _"]] = [
            torch.tensor([member for member, count in enumerate(rows) if count == size])
            for size in self.sizes
        ]
        if len(self.sizes) == 1:
            self.members = [slice(None)]
        counts = [list(rows).count(size) for size in self.sizes]
        self.metrics = torch.nn.ModuleList(
            ClassificationMetrics(count, classes) if classes else RegressionMetrics(count, len(self.targets))
            for count in counts
        )
        self._seen = 0

    def add(self, network: Network, batch: Batch) -> None:
        """Predicts a batch and adds its loss and metrics."""
        z, transform = network.forward_scaled(batch.x), network.preprocessing.target_transform
        self.losses.add(batch_losses(self.loss, z, batch, transform), batch.rows())
        if isinstance(transform, ClassProbabilities):
            scored = transform.log_probabilities(z)
        else:
            scored = transform.inverse_transform(z)
        for size, members, metrics in self._parts():
            rows = min(size - self._seen, z.shape[1])
            if rows > 0:
                weight = None if batch.weight is None else batch.weight[members, :rows]
                metrics.update(scored[members, :rows], batch.y[members, :rows], weight)
        if self.keep and not self._seen:
            self.predictions.clear()
        self._seen += z.shape[1]
        if self.keep:
            self.predictions.append(transform.inverse_transform(z))

    def compute_and_reset(self, network: Network) -> Values:
        """The metrics over all batches added."""
        transform = network.preprocessing.target_transform
        loss = self.loss.in_target_units(self.losses.compute_and_reset(), transform)
        values = {f"{self.part}/loss": loss}
        for _, members, of_members in self._parts():
            for name, value in of_members.compute().items():
                by_target = value.reshape(-1, len(self.targets))  # torchmetrics squeezes single numbers
                metrics = {f"{self.part}/{name}": by_target.mean(1)}
                if len(self.targets) > 1:
                    for target, column in zip(self.targets, by_target.unbind(1), strict=True):
                        metrics[f"{self.part}/{name}/{target}"] = column
                for key, each in metrics.items():
                    values.setdefault(key, torch.empty_like(loss))[members] = each
            of_members.reset()
        self._seen = 0
        return values

    def _parts(
        self,
    ) -> Iterator[tuple[int, slice | Int64[Tensor, " _"], RegressionMetrics | ClassificationMetrics]]:
        for size, members, metrics in zip(self.sizes, self.members, self.metrics, strict=True):
            assert isinstance(metrics, RegressionMetrics | ClassificationMetrics)
            yield size, members, metrics
