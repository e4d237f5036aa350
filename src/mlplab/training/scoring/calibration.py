"""What trained networks get afterwards: the share of their linear models, their weights in the mean
prediction, the temperature of probabilities (Guo et al. 2017, 4.2), and a threshold."""

from collections.abc import Iterable, Sequence
from math import ceil
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from mlplab.config.metrics import DEFAULT_THRESHOLD, ThresholdMetric
from mlplab.conformal.residual_quantiles import Column
from mlplab.data.batches.loader import Batch
from mlplab.effective_rows import effective_rows
from mlplab.models import Network
from mlplab.models.targets import ClassProbabilities
from mlplab.training.scoring.losses import row_errors
from mlplab.training.scoring.scores import Weight

RowNumbers = Int64[Tensor, " row"]

SHARES = [step / 20 for step in range(21)]  # candidates for the share of a linear model

# Networks with the error e weigh e⁻⁴. If one half has r times the error of the other, and their errors have a
# correlation of ½, the best weights are as 1 − r/2 to r² − r/2 (Bates & Granger 1969): up to r = 1.5, about
# as 1 to r⁴.
WEIGHT_POWER = 4

MOST_ROWS = 10_000  # rows that the temperature is fitted to for each candidate of a share

# Scale of the Cauchy prior of log T, which keeps T near 1 if there are few rows.
PRIOR_SCALE = 0.15
# Range of temperatures. The highest leaves little of logits that predict no better than chance.
LOWEST, HIGHEST = 0.05, 20.0

ROUNDING = 1e-12  # the largest difference of scores that are equal but for rounding


class HeldOutOutputs(NamedTuple):
    """What the members of a network output for the rows that they hold out, on the scale of the loss.

    Args:
        z, u: the outputs of the body and of the linear path, if there is one.
        y, weight: the rows' targets, in their own units, and weights.
        rows: the numbers of each member's rows; what follows them in the tensors is padding.
    """

    z: Float[Tensor, "member row output"]
    u: Float[Tensor, "member row output"] | None
    y: Float64[Tensor, "member row target"]
    weight: Float[Tensor, "member row 1"] | None
    rows: Sequence[Int64[Tensor, " _"]]


@torch.inference_mode()
def held_out_outputs(network: Network, batches: Iterable[Batch], rows: Sequence[Tensor]) -> HeldOutOutputs:
    """The outputs of a network for batches of all members' validation rows, which have these numbers."""
    device, path = network.eval().preprocessing.impute_value.device, network.linear_path
    parts = []
    for batch in batches:
        moved = batch.to(device)
        z, inputs = network.forward_body(moved.x)
        parts.append((z, None if path is None else path(inputs), moved.y, moved.row_weight))
    joined = [None if part[0] is None else torch.cat(part, 1) for part in zip(*parts, strict=True)]
    return HeldOutOutputs(*[*joined, rows])  # type: ignore[arg-type]


@torch.inference_mode()
def linear_shares(network: Network, held_out: HeldOutOutputs, runs: Sequence[Sequence[int]]) -> list[float]:
    """The share of each run with the lowest error of the rows that its members hold out; if tied, the lowest.

    This is stacking (Wolpert 1992) of the body and the linear model. The error of classes is their log loss,
    weighted as in training, at its best temperature; that of quantiles their loss; that of numbers is the
    absolute error: a few outliers decide about squared errors.

    Args:
        runs: the members of each run, whose rows are taken together.
    """
    z, u, y, weight, rows = held_out
    path, transform = network.linear_path, network.preprocessing.target_transform
    assert path is not None
    assert u is not None
    target, weight = transform.transform(y), transform.loss_weight(y, weight)
    errors = np.empty((len(SHARES), len(runs)))
    for place, share in enumerate(SHARES):
        combined = path.combine(z, u, share)
        if isinstance(transform, ClassProbabilities):
            temperature = transform.temperature.clone()
            weighted = held_out._replace(z=combined, weight=weight)
            for members, of_run in zip(runs, temperatures(weighted, runs, MOST_ROWS), strict=True):
                temperature[members] = of_run
            error = -(combined.double() / temperature).log_softmax(2).gather(2, y.long())
        else:
            error = row_errors(combined, target, transform.quantiles).double().unsqueeze(2)
        error = error if weight is None else error * weight
        for run, members in enumerate(runs):
            errors[place, run] = sum(error[member, : len(rows[member])].sum().item() for member in members)
    return [SHARES[place] for place in errors.argmin(0)]


@np.errstate(all="ignore")  # errors may be 0 or not finite
def mean_weights(error: Float64[np.ndarray, " member"], activations: Sequence[str]) -> list[float]:
    """The weight of each member of an ensemble in its mean prediction; their sum is 1.

    Members with the same activation weigh the same. Together, they weigh e to the power of −`WEIGHT_POWER`,
    where e is the mean of their errors. If one is 0 or NaN, all members weigh the same.

    Args:
        error: of each member on the rows that it holds out, in any unit.
    """
    same = [np.array(activations) == name for name in activations]
    mean = np.array([error[group].mean() for group in same])
    weight = (mean / mean.min()) ** -WEIGHT_POWER / np.sum(same, 1)
    weight /= weight.sum()
    return (weight if np.isfinite(weight).all() else np.full(len(error), 1 / len(error))).tolist()


def temperatures(
    held_out: HeldOutOutputs, runs: Sequence[Sequence[int]], most: int | None = None
) -> list[float]:
    """The temperature of each run, by `fit_temperature`.

    Args:
        runs: the members of each run, whose rows are taken together.
        most: of more rows, every second, third and so on is used.
    """
    weights = torch.ones_like(held_out.y) if held_out.weight is None else held_out.weight.double()
    found, rows = [], held_out.rows
    for members in runs:
        row = torch.cat([rows[member] for member in members])
        used = slice(None, None, 1 if most is None else max(1, ceil(len(row) / most)))
        z, y, weight = (
            torch.cat([each[member, : len(rows[member])] for member in members])[used]
            for each in (held_out.z, held_out.y, weights)
        )
        found.append(fit_temperature(z, y[:, 0].long(), weight[:, 0], row[used]))
    return found


@np.errstate(invalid="ignore")  # logits may be infinite
def fit_temperature(
    logits: Float[Tensor, "row class"], target: RowNumbers, weight: Float[Tensor, " row"], row: RowNumbers
) -> float:
    """The most probable temperature T of `softmax(logits / T)`, given the targets and a prior around T = 1.

    Without the prior, it would be the temperature of the lowest log loss. That is too low for new rows if
    there are few: their log loss is lower than that of new rows, as they also chose the epoch, and rows
    without errors have no lowest log loss. 1.0 if logits are not finite.

    Args:
        weight: the weight of each row, in any unit.
        row: the number of each row. Several networks may have predicted the same row; those are worth one.
    """
    share = weight.cpu().double().numpy()
    used = share > 0
    share = share[used]
    # In NumPy: torch's sums depend on the number of threads, and its softmax starts them for a few rows.
    by_class = logits.detach().cpu().double().numpy()[used].T.copy()
    margins = by_class - by_class[target.cpu().numpy()[used], np.arange(len(share))]
    if not (len(share) and np.isfinite(margins).all()):
        return 1.0
    of_rows = np.bincount(np.unique(row.numpy()[used], return_inverse=True)[1], share)
    share *= effective_rows(of_rows) / share.sum()
    below = margins - margins.max(0)
    low, high = -np.log(HIGHEST), -np.log(LOWEST)  # of log β, with β = 1 / T
    for _ in range(24):  # to 4e-7 of log T
        log_beta = (low + high) / 2
        probability = np.exp(np.exp(log_beta) * below)
        mean = (probability * margins).sum(0) / probability.sum(0)
        slope = np.exp(log_beta) * (share @ mean) + 2 * log_beta / (PRIOR_SCALE**2 + log_beta**2)
        low, high = (log_beta if slope <= 0 else low), (log_beta if slope >= 0 else high)
    return float(np.exp(-log_beta))


def best_threshold(
    probability: Column, positive: Bool[np.ndarray, " row"], weight: Weight, metric: ThresholdMetric
) -> float:
    """The threshold with the highest balanced accuracy, or F1 of the positive rows, on some rows.

    Rows are predicted to be positive if their probability is at least the threshold. The candidates are 0.5
    and the midpoints between neighbouring probabilities; of equally good ones, the nearest to 0.5 is chosen.
    0.5 if one of the classes has no weight.
    """
    from sklearn.metrics import roc_curve

    weights = np.ones(len(positive)) if weight is None else weight.astype(np.float64)
    total, positives = weights.sum(), weights[positive].sum()
    if not 0 < positives < total:
        return DEFAULT_THRESHOLD
    curve = roc_curve(positive, probability, sample_weight=weights, drop_intermediate=False)
    false, true, distinct = (values[::-1] for values in curve)  # from the lowest probability on
    candidates = np.append((distinct[1:-1] + distinct[:-2]) / 2, DEFAULT_THRESHOLD)
    candidates = candidates[candidates > 0]  # which the midpoint of 0 and the smallest number is not
    reached = np.searchsorted(distinct, candidates)
    false, true = false[reached] * (total - positives), true[reached] * positives
    if metric == "f1":
        score = 2 * true / (true + false + positives)
    else:
        score = true / positives - false / (total - positives)  # 2 · balanced accuracy − 1
    best = candidates[score >= score.max() - ROUNDING]
    return float(best[np.abs(best - DEFAULT_THRESHOLD).argmin()])
