"""Metrics of predicted classes for weighted rows, which torchmetrics lacks."""

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor
from torchmetrics import Metric

BINS = 15
"""Bins of the calibration error, as in Guo et al. (2017)."""

ByMember = Float64[Tensor, " member"]
ByRow = Float64[Tensor, "member row"]


class ClassificationMetrics(Metric):
    """The metrics of `mlplab.config.metrics.CLASSIFICATION` over weighted rows, for each member.

    They are scikit-learn's `log_loss` (but not clipped), `accuracy_score`, `balanced_accuracy_score`,
    `f1_score(average="macro")` and `roc_auc_score`, with `sample_weight`, on the rows with a weight above 0.
    `auroc` is that of class 1 if there are two classes, else the mean over one class against the rest; NaN
    if a class has no row. `calibration_error` is the mean distance between confidence (the probability of the
    predicted class) and accuracy over `BINS` equal bins of the confidence (Guo et al. 2017, eq. 3).

    All are NaN for a member that has no row with a weight above 0, or a prediction that is NaN.

    Attributes:
        confusion: sums of weights by the rows' true and predicted classes; of equal probabilities, the first
            class is predicted.
        losses: sums of −w·log p of the true class, by that class.
        gaps: sums of w·(confidence − correct) by bins of the confidence.
        log_probabilities: of each batch, to be ranked for `auroc`; likewise `true` and `weights`.
    """

    confusion: Float64[Tensor, "member true predicted"]
    losses: Float64[Tensor, "member class"]
    gaps: Float64[Tensor, "member bin"]
    log_probabilities: list[Float64[Tensor, "member row class"]]
    true: list[Int64[Tensor, "member row"]]
    weights: list[ByRow]

    def __init__(self, members: int, classes: int) -> None:
        super().__init__()
        for name, sizes in (("confusion", (classes, classes)), ("losses", (classes,)), ("gaps", (BINS,))):
            self.add_state(name, torch.zeros(members, *sizes, dtype=torch.float64), dist_reduce_fx="sum")
        for name in ("log_probabilities", "true", "weights"):
            self.add_state(name, [])

    def update(
        self,
        log_probabilities: Float64[Tensor, "member row class"],
        target: Float64[Tensor, "member row 1"],
        weight: Float[Tensor, "member row 1"] | None = None,
    ) -> None:
        """Adds rows, whose targets are class numbers; without `weight`, each has weight 1."""
        # Not `max(2)`, which starts threads even for a few rows.
        true, predicted = target.long(), log_probabilities.argmax(2, keepdim=True)
        loss = -log_probabilities.gather(2, true).squeeze(2)
        confidence = log_probabilities.gather(2, predicted).squeeze(2).exp()
        true, predicted = true.squeeze(2), predicted.squeeze(2)
        gap = confidence - (predicted == true).double()
        if weight is None:
            weights = torch.ones_like(loss)
        else:
            weights = weight.squeeze(2).double()
            loss, gap = (torch.where(weights > 0, each * weights, 0) for each in (loss, gap))

        # Rows are added one after the other: the sums do not depend on batches, other members or threads.
        cell = true * log_probabilities.shape[2] + predicted
        self.confusion.view(len(cell), -1).scatter_add_(1, cell, weights)
        self.losses.scatter_add_(1, true, loss)
        self.gaps.scatter_add_(1, (confidence * BINS).long().clamp(0, BINS - 1), gap)
        self.log_probabilities.append(log_probabilities.detach())
        self.true.append(true)
        self.weights.append(weights)

    def compute(self) -> dict[str, ByMember]:
        """The metrics over all rows added."""
        rows, predicted = self.confusion.sum(2), self.confusion.mT.contiguous().sum(2)
        correct = self.confusion.diagonal(dim1=1, dim2=2).contiguous()
        total = rows.sum(1)
        metrics = {
            "log_loss": self.losses.sum(1) / total,
            "accuracy": correct.sum(1) / total,
            "balanced_accuracy": (correct / rows).nanmean(1),
            "f1_macro": (2 * correct / (rows + predicted)).nanmean(1),
            "auroc": self._auroc(),
            "calibration_error": self.gaps.abs().sum(1) / total,
        }
        undefined = metrics["calibration_error"].isnan()
        return {name: value.masked_fill(undefined, torch.nan) for name, value in metrics.items()}

    def _auroc(self) -> ByMember:
        classes = self.confusion.shape[1]
        true, weights = torch.cat(self.true, 1), torch.cat(self.weights, 1)
        areas = [
            _area(
                torch.cat([each[..., number] for each in self.log_probabilities], 1), true == number, weights
            )
            for number in range(1 if classes == 2 else 0, classes)
        ]
        return torch.stack(areas, 1).mean(1)


def _area(log_probability: ByRow, positive: Bool[Tensor, "member row"], weight: ByRow) -> ByMember:
    """The share of pairs in which the positive row is the more probable; ties count as half."""
    score = log_probability.exp()
    order = _argsort(score)
    score, weight, positive = (each.gather(1, order) for each in (score, weight, positive))
    positives = weight * positive
    negatives = weight - positives
    differs = score[:, 1:] != score[:, :-1]
    if not differs.all():  # rows of equal probability become one
        group = torch.nn.functional.pad(differs.long(), (1, 0)).cumsum(1)
        positives, negatives = (
            torch.zeros_like(each).scatter_add_(1, group, each) for each in (positives, negatives)
        )
    below = negatives.cumsum(1)
    pairs = positives * (below - negatives / 2)
    # A `sum` of one member's many rows depends on the number of threads.
    area, of_positives = (each.cumsum(1)[:, -1] for each in (pairs, positives))
    return area / (of_positives * below[:, -1])


def _argsort(score: ByRow) -> Int64[Tensor, "member row"]:
    if score.device.type == "cpu":  # NumPy takes less than half of torch's time
        return torch.from_numpy(score.numpy().argsort(1))
    return score.argsort(1)
