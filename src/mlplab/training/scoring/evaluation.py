"""Scores of each member on validation or test rows."""

from collections.abc import Iterable, Mapping, Sequence

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from mlplab.config.metrics import DEFAULT_THRESHOLD
from mlplab.data.batches.loader import Batch
from mlplab.data.schema import Schema
from mlplab.models import Network
from mlplab.models.targets import Outputs, TargetTransform
from mlplab.training.run import Configs
from mlplab.training.scoring.losses import Loss, Terms, build_loss
from mlplab.training.scoring.mean_predictions import OfMembers
from mlplab.training.scoring.metrics import Metrics, build_metrics, by_target

Values = dict[str, Float[Tensor, " member"]]


def on_cpu(values: Values) -> Values:
    """Values of one type on the CPU, where they get in one transfer."""
    return dict(zip(values, torch.stack([*values.values()]).cpu().unbind(), strict=True))


class Mean:
    """A mean over batches for each member, weighted by the rows of each batch."""

    def __init__(self) -> None:
        self.values: list[Float[Tensor, "member batch"]] = []
        self.rows: list[Float64[Tensor, "member batch"]] = []

    def add(self, values: Float[Tensor, "member batch"], rows: Float64[Tensor, "member batch"]) -> None:
        """Adds each member's means over batches, and the (weighted) numbers of its rows in them."""
        self.values.append(values)
        self.rows.append(rows)

    def state(self) -> dict[str, Float[Tensor, "member batch"]]:
        """What has been added since the last reset."""
        return {name: torch.cat(added, 1) for name, added in vars(self).items() if added}

    def load_state(self, state: Mapping[str, Float[Tensor, "member batch"]]) -> None:
        """Restores a `state`."""
        self.values, self.rows = ([state[name]] if state else [] for name in ("values", "rows"))

    def compute(self) -> Float64[Tensor, " member"]:
        """The mean over everything added."""
        # [member, batch]: a member's values are contiguous, so their sum has one order in any stack.
        values, rows = torch.cat(self.values, 1).double(), torch.cat(self.rows, 1)
        return torch.where(rows > 0, values * rows, 0).sum(1) / rows.sum(1)


class Evaluation(torch.nn.Module):
    """Loss and metrics over batches, on predictions in the targets' own units or probabilities of classes.

    With several targets, `rmse` is the mean over targets and `rmse/TARGET` that of one target; likewise `mae`
    and `r2`. It is a module so that its sums move to the network's device. `rows` and `thresholds` are the
    numbers of the rows and the threshold of each member.
    """

    def __init__(self, loss: Loss, rows: list[Tensor], schema: Schema, thresholds: Sequence[float]) -> None:
        super().__init__()
        self.loss, self.losses, self.targets = loss, Mean(), schema.targets
        counts = torch.tensor([*map(len, rows)])
        self.groups: list[tuple[int, slice | Int64[Tensor, " _"], Metrics]] = []
        for size in sorted({*counts.tolist()}):
            members = (counts == size).nonzero().flatten()
            of_members = [thresholds[member] for member in members.tolist()]
            metrics = build_metrics(len(members), len(schema.targets), len(schema.classes), of_members)
            self.groups.append((size, members if len(members) < len(rows) else slice(None), metrics))
        self.metrics = torch.nn.ModuleList(metrics for _, _, metrics in self.groups)
        self._rows_seen = 0

    @classmethod
    def of(cls, configs: Configs, rows: list[Tensor], schema: Schema) -> "Evaluation":
        """An evaluation of members with these configurations; a threshold to be chosen later is 0.5."""
        thresholds = [DEFAULT_THRESHOLD if run.threshold == "auto" else run.threshold for run in configs]
        return cls(build_loss([run.loss for run in configs]), rows, schema, thresholds)

    def add_batch(self, network: Network, batch: Batch) -> None:
        """Adds the predictions of a network for a batch."""
        self.add(network.forward_scaled(batch.x), batch, network.preprocessing.target_transform)

    def add(self, z: Outputs, batch: Batch, transform: TargetTransform) -> None:
        """Adds the loss and the metrics of a batch, given the network's outputs on the scale of the loss."""
        losses = Terms.of(batch, transform).losses(self.loss, z)
        self.losses.add(losses[:, None], batch.row_counts()[:, None])
        scored = transform.scored(z)
        for size, members, metrics in self.groups:
            rows = min(size - self._rows_seen, z.shape[1])
            if rows > 0:
                weight = None if batch.row_weight is None else batch.row_weight[members, :rows]
                metrics.update(scored[members, :rows], batch.y[members, :rows], weight)
        self._rows_seen += z.shape[1]

    def score(self, network: Network, batches: Iterable[Batch]) -> tuple[Values, OfMembers]:
        """Loss and metrics of a network over batches, and its predictions, those of padding too."""
        preprocessing, predicted = network.eval().preprocessing, []
        transform, device = preprocessing.target_transform, preprocessing.impute_value.device
        with torch.inference_mode():
            for batch in batches:
                moved = batch.to(device)
                z = network.forward_scaled(moved.x)
                self.add(z, moved, transform)
                predicted.append(transform.inverse_transform(z))
        return self.compute_and_reset(transform), torch.cat(predicted, 1).cpu().numpy()

    def compute_and_reset(self, transform: TargetTransform, prefix: str = "") -> Values:
        """The loss and the metrics over all batches added; the prefix is put in front of their names."""
        loss = self.loss.in_target_units(self.losses.compute(), transform)
        values = {f"{prefix}loss": loss}
        for _, members, metrics in self.groups:
            for name, value in metrics.compute().items():  # torchmetrics squeezes single numbers
                found = by_target(name, value.reshape(-1, len(self.targets)), self.targets)
                for key, column in found.items():
                    values.setdefault(prefix + key, torch.empty_like(loss))[members] = column
            metrics.reset()
        self.losses, self._rows_seen = Mean(), 0
        return values
