"""The metrics of predictions, and of each member of a network, batch by batch."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from mlplab.config.metrics import DEFAULT_THRESHOLD
from mlplab.conformal.intervals import Uncertainty, Y, median_of
from mlplab.data.batches.loader import Batch
from mlplab.data.schema import Schema
from mlplab.models import Network
from mlplab.models.targets import Outputs, TargetTransform
from mlplab.training.run import Configs
from mlplab.training.scoring.losses import Loss, Terms, build_loss, pinball
from mlplab.training.scoring.mean_predictions import SMALLEST_PROBABILITY, OfMembers, Predicted
from mlplab.training.scoring.metrics import Metrics, build_metrics, by_target

Scores = dict[str, float]

RARE = 1 / 3  # the share of rows up to which a class is rare

Weight = Float[np.ndarray, " row"] | None


class Task(NamedTuple):
    """What is predicted.

    Args:
        classes: the number of classes; 0 for regression, whose metrics are means over targets.
        targets: if there are several, their names: each also gets metrics such as `rmse/TARGET`.
        quantiles: the levels of the quantiles, if these are predicted.
    """

    classes: int = 0
    targets: Sequence[str] = ()
    quantiles: Sequence[float] = ()

    @classmethod
    def of(cls, schema: Schema, quantiles: Sequence[float]) -> "Task":
        """The task of a network for columns with a schema."""
        return cls(len(schema.classes), schema.targets, quantiles)


def scores(
    predicted: Predicted, y: Y, weight: Weight, task: Task, threshold: float = DEFAULT_THRESHOLD
) -> Scores:
    """The metrics of predictions.

    Args:
        predicted: the targets, the probabilities of classes, or the quantiles of a target.
        y: the targets, or the number of each row's class.
        threshold: the probability from which the second of two classes is predicted.
    """
    found, (classes, targets, quantiles) = dict[str, float | Tensor](), task
    if quantiles:
        z, level = torch.from_numpy(predicted)[None], torch.tensor(quantiles, dtype=torch.float64)
        errors = pinball(z, torch.from_numpy(y)[None], level)[0].numpy()
        found["pinball"] = float(np.average(errors.mean(1), weights=weight))
        predicted = median_of(predicted, quantiles)
    metrics = build_metrics(1, y.shape[1], classes, (threshold,))
    if classes:
        predicted = np.log(predicted.clip(SMALLEST_PROBABILITY, 1))
    weights = None if weight is None else torch.from_numpy(weight)[None, :, None]
    metrics.update(torch.from_numpy(predicted)[None], torch.from_numpy(y)[None], weights)
    for name, value in metrics.compute().items():
        found |= by_target(name, value.reshape(1, -1), targets)
    return {name: float(value) for name, value in found.items()}


def all_scores(
    uncertainty: Uncertainty,
    predicted: Predicted,
    y: Y,
    weight: Weight,
    threshold: float,
    metrics: Scores | None = None,
) -> Scores:
    """The metrics of mean predictions, the scores of their intervals or sets, and `first_class_scores`.

    Args:
        metrics: those of a single network, if they are known.
    """
    schema = uncertainty.schema
    if metrics is None:
        metrics = scores(predicted, y, weight, Task.of(schema, uncertainty.quantiles), threshold)
    metrics |= uncertainty.scores(predicted, y, weight)
    return metrics | first_class_scores(schema.classes, predicted, y, weight)


def first_class_scores(classes: Sequence[str], predicted: Predicted, y: Y, weight: Weight) -> Scores:
    """The average precision of the first of two classes, if few rows have it; else nothing.

    `average_precision` is that of the second, and is high for a class that nearly all rows have.
    """
    share = np.average(y[:, 0], weights=weight) if len(classes) == 2 else 0
    if not 1 - RARE < share < 1:
        return {}
    reversed_scores = scores(predicted[:, ::-1].copy(), 1 - y, weight, Task(2))
    return {f"average_precision/{classes[0]}": reversed_scores["average_precision"]}


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
