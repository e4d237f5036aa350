"""Metrics for weighted rows and several members, with the interface of torchmetrics, whose own have neither.

Both take `[member, row, …]` batch by batch, and give each metric as `[member, target]`. A member's sums have
one order in any stack, whatever the number of threads.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor, nn
from torchmetrics import Metric

CALIBRATION_BINS = 15  # bins of the calibration error, as in Guo et al. (2017)

ByTarget = Float64[Tensor, "member target"]
ByRow = Float64[Tensor, "member row"]
Predictions = Float64[Tensor, "member row _"]
ClassNumbers = Float64[Tensor, "member row 1"]
Weight = Float[Tensor, "member row 1"] | None


class RegressionMetrics(Metric):
    """Root mean squared error, mean absolute error and r2 over weighted rows, for each member and target.

    r2 is 1 − Σw(y − ŷ)² / Σw(y − ȳ)² with the weighted mean ȳ; NaN if the target is constant. torchmetrics'
    `R2Score` treats sums of squares below 1e-4 as zero, so a poor fit of a target with small values counts as
    perfect.

    Attributes:
        sums: of squared errors, absolute errors, y, y² and 1, each times the weight; y without `shift`.
        shift: the target of the first row with a weight above 0. It is subtracted from all targets before
            they are squared: otherwise, if values are large compared to their spread, rounding would lose it.
    """

    sums: Float64[Tensor, "5 member target"]
    shift: ByTarget

    def __init__(self, members: int, targets: int) -> None:
        super().__init__()
        self.add_state("sums", torch.zeros(5, members, targets, dtype=torch.float64))
        self.add_state("shift", torch.zeros(members, targets, dtype=torch.float64))

    def update(self, predicted: Predictions, target: Predictions, weight: Weight = None) -> None:
        """Adds rows; without `weight`, each has weight 1."""
        if weight is None:
            first = target[:, 0]
        else:
            row = (weight > 0).byte().argmax(1, keepdim=True)
            first = target.gather(1, row.expand(-1, 1, target.shape[2]))[:, 0]
        self.shift.copy_(torch.where(self.sums[4] > 0, self.shift, first))
        # [member, target, row]: a member's values are contiguous.
        error, y = (x.mT.contiguous() for x in (predicted - target, target - self.shift.unsqueeze(1)))
        values = torch.stack((error.square(), error.abs(), y, y.square(), torch.ones_like(y)))
        if weight is not None:
            values *= weight.double().mT.contiguous()
        self.sums += values.sum(3)

    def compute(self) -> dict[str, ByTarget]:
        """`rmse`, `mae` and `r2` over all rows added."""
        squared_error, absolute_error, y, y_squared, weight = self.sums
        spread = y_squared - y.square() / weight
        return {
            "rmse": (squared_error / weight).sqrt(),
            "mae": absolute_error / weight,
            "r2": torch.where(spread > 0, 1 - squared_error / spread, torch.nan),
        }


class ClassificationMetrics(Metric):
    """The metrics of `mlplab.config.metrics.CLASSIFICATION` over weighted rows, for each member.

    They are scikit-learn's `log_loss` (but not clipped), `accuracy_score`, `balanced_accuracy_score`,
    `f1_score(average="macro")`, `roc_auc_score` and `average_precision_score`, with `sample_weight`, on the
    rows with a weight above 0. `auroc` and `average_precision` are those of class 1 if there are two classes,
    else the mean over one class against the rest; NaN if a class has no row. `calibration_error` is the mean
    distance between confidence (the probability of the most likely class) and accuracy over equal bins of the
    confidence (Guo et al. 2017, eq. 3).

    All are NaN for a member that has no row with a weight above 0, or a prediction that is NaN.

    Args:
        thresholds: of each member, or one for all: class 1 of two is predicted from this probability on.
    """

    log_probabilities: list[Float64[Tensor, "member row class"]]
    true: list[Int64[Tensor, "member row 1"]]
    weights: list[Float64[Tensor, "member row 1"]]

    def __init__(self, thresholds: Sequence[float]) -> None:
        super().__init__()
        logarithms = torch.tensor([*map(math.log, thresholds)], dtype=torch.float64)[:, None, None]
        self.log_threshold: Float64[Tensor, "member 1 1"] = nn.Buffer(logarithms, persistent=False)
        for name in ("log_probabilities", "true", "weights"):
            self.add_state(name, [])

    def update(self, log_probabilities: Predictions, target: ClassNumbers, weight: Weight = None) -> None:
        """Adds rows, whose targets are class numbers; without `weight`, each has weight 1."""
        self.log_probabilities.append(log_probabilities.detach())
        self.true.append(target.long())
        self.weights.append(torch.ones_like(target) if weight is None else weight.double())

    def compute(self) -> dict[str, ByTarget]:
        """The metrics over all rows added."""
        log_probabilities, true, weights = (
            torch.cat(batches, 1) for batches in (self.log_probabilities, self.true, self.weights)
        )
        members, _, classes = log_probabilities.shape
        # Not `max(2)`, which starts threads even for a few rows.
        predicted = most_likely = log_probabilities.argmax(2, keepdim=True)
        if classes == 2:
            predicted = (log_probabilities[..., 1:] >= self.log_threshold).long()
        confidence = log_probabilities.gather(2, most_likely).exp()

        def sums(values: Tensor, group: Int64[Tensor, "member row 1"], groups: int) -> Tensor:
            """Sums by group, of one row after the other: they do not depend on other members or threads."""
            weighted = torch.where(weights > 0, values * weights, 0)
            return values.new_zeros(members, groups).scatter_add_(1, group[..., 0], weighted[..., 0])

        # The weights of rows by their true and predicted classes, as by `predicted_classes`.
        confusion = sums(torch.ones_like(weights), true * classes + predicted, classes**2)
        confusion = confusion.view(members, classes, classes)
        losses = sums(-log_probabilities.gather(2, true), true, classes)
        bins = (confidence * CALIBRATION_BINS).long().clamp(0, CALIBRATION_BINS - 1)
        gaps = sums(confidence - (most_likely == true).double(), bins, CALIBRATION_BINS)
        rows, columns = confusion.sum(2), confusion.mT.contiguous().sum(2)
        correct = confusion.diagonal(dim1=1, dim2=2).contiguous()
        total = rows.sum(1)
        areas = [
            _areas(log_probabilities[..., number].contiguous(), true[..., 0] == number, weights[..., 0])
            for number in range(1 if classes == 2 else 0, classes)
        ]
        auroc, average_precision = (torch.stack(area, 1).mean(1) for area in zip(*areas, strict=True))
        metrics = {
            "log_loss": losses.sum(1) / total,
            "accuracy": correct.sum(1) / total,
            "balanced_accuracy": (correct / rows).nanmean(1),
            "f1_macro": (2 * correct / (rows + columns)).nanmean(1),
            "auroc": auroc,
            "average_precision": average_precision,
            "calibration_error": gaps.abs().sum(1) / total,
        }
        undefined = metrics["calibration_error"].isnan()
        return {name: value.masked_fill(undefined, torch.nan).unsqueeze(1) for name, value in metrics.items()}


def _areas(
    log_probability: ByRow, positive: Bool[Tensor, "member row"], weight: ByRow
) -> tuple[Float64[Tensor, " member"], Float64[Tensor, " member"]]:
    """The areas under the ROC curve and under the steps of the curve of precision over recall.

    The first is the share of pairs in which the positive row is the more probable; ties count as half. The
    second is the mean over positive rows of the precision among the rows that are at least as probable.
    """
    score = -log_probability.exp()
    # NumPy takes less than half of torch's time to sort.
    order = torch.from_numpy(score.numpy().argsort(1)) if score.device.type == "cpu" else score.argsort(1)
    score, weight, positive = (values.gather(1, order) for values in (score, weight, positive))
    positives = weight * positive
    negatives = weight - positives
    differs = score[:, 1:] != score[:, :-1]
    if not differs.all():  # rows of equal probability become one
        group = nn.functional.pad(differs.long(), (1, 0)).cumsum(1)
        positives, negatives = (
            torch.zeros_like(weights).scatter_add_(1, group, weights) for weights in (positives, negatives)
        )
    true, false = positives.cumsum(1), negatives.cumsum(1)
    pairs = positives * (false[:, -1:] - false + negatives / 2)
    precisions = torch.where(positives > 0, positives * true / (true + false), 0)
    # A `sum` of one member's many rows depends on the number of threads.
    area, precision = (values.cumsum(1)[:, -1] for values in (pairs, precisions))
    total = true[:, -1] * false[:, -1]
    return area / total, torch.where(total > 0, precision / true[:, -1], torch.nan)


Metrics = RegressionMetrics | ClassificationMetrics


def build_metrics(members: int, targets: int, classes: int, thresholds: Sequence[float]) -> Metrics:
    """The metrics of a target with classes, or of regression targets if `classes` is 0."""
    return ClassificationMetrics(thresholds) if classes else RegressionMetrics(members, targets)


def by_target(name: str, values: ByTarget, targets: Sequence[str]) -> dict[str, Float64[Tensor, " member"]]:
    """The mean of a metric over targets; if these have names and are several, also `NAME/TARGET` of each."""
    of_targets = zip(targets, values.unbind(1), strict=True) if len(targets) > 1 else ()
    return {name: values.mean(1)} | {f"{name}/{target}": value for target, value in of_targets}
