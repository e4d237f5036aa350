"""Temperature scaling of a trained classifier (Guo et al. 2017, section 4.2)."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from mlplab.data.loader import Batch
from mlplab.models import Network

MIN_ROWS = 20
"""With fewer validation rows, fitted temperatures made the mean log loss of test rows worse."""
FOLDS = 5
LOWEST, HIGHEST = 0.05, 20.0
"""Range of temperatures. The highest leaves little of logits that predict no better than chance."""

_MAX_STEPS, _TOLERANCE = 50, 1e-6

Margins = Float64[np.ndarray, "class row"]
"""Each class's logit minus that of the row's own class; their logsumexp is the row's log loss."""


def temperatures(
    network: Network, batches: Iterable[Batch], rows: Sequence[int], runs: Sequence[Sequence[int]]
) -> Float64[Tensor, " run"]:
    """The temperature of each run, by `fit_temperature`.

    Args:
        batches: the validation rows of all members, in order.
        rows: the number of each member's rows; what follows them is padding.
        runs: the members of each run, whose rows are taken together.
    """
    device = network.eval().preprocessing.impute_value.device
    with torch.inference_mode():
        moved = (batch.to(device) for batch in batches)
        found = [(network.forward_scaled(batch.x), batch.y, batch.weight) for batch in moved]
    logits = torch.cat([each for each, _, _ in found], 1)
    y = torch.cat([each for _, each, _ in found], 1)
    weight = torch.cat([_weights(targets, weights) for _, targets, weights in found], 1)

    def of_run(values: Tensor, members: Sequence[int]) -> Tensor:
        return torch.cat([values[member, : rows[member]] for member in members])

    chosen = [
        fit_temperature(of_run(logits, run), of_run(y, run)[:, 0].long(), of_run(weight, run)[:, 0])
        for run in runs
    ]
    return torch.tensor(chosen, dtype=torch.float64)


@np.errstate(divide="ignore", invalid="ignore")  # logits may be infinite, or equal
def fit_temperature(
    logits: Float[Tensor, "row class"], target: Int64[Tensor, " row"], weight: Float[Tensor, " row"] | None
) -> float:
    """The temperature T at which `softmax(logits / T)` has the lowest log loss; 1.0 if none helps.

    None helps if the log loss of each fold, at the temperature of the other folds, is on average no lower
    than at T = 1; nor if the rows are worth fewer than `MIN_ROWS` rows of equal weight.

    Args:
        weight: the weight of each row, in any unit; None if all are equal.
    """
    share = np.ones(len(target)) if weight is None else weight.cpu().double().numpy()
    used = share > 0
    rows, share = np.count_nonzero(used), share[None, used]
    if rows < MIN_ROWS or round(_effective_rows(share).item()) < MIN_ROWS:
        return 1.0
    # In NumPy: torch's sums depend on the number of threads, and its softmax starts them for a few rows.
    by_class = logits.detach().cpu().double().numpy()[used].T.copy()
    margins = by_class - by_class[target.cpu().numpy()[used], np.arange(rows)]
    fold = np.random.default_rng(0).permutation(rows) % FOLDS
    others = share * (fold != np.arange(FOLDS)[:, None])
    inverse = _inverse_temperatures(margins, share, 1.0).item()
    held_out = _inverse_temperatures(margins, others, inverse)[fold]
    gains = _log_loss(margins) - _log_loss(margins * held_out)
    return 1 / inverse if (share * gains).sum() > 0 else 1.0


def _effective_rows(weight: Float64[np.ndarray, "fit row"]) -> Float64[np.ndarray, " fit"]:
    """The number of rows of equal weight whose mean varies as much (Kish 1965)."""
    return weight.sum(1) ** 2 / (weight**2).sum(1)


def _log_loss(margins: Margins) -> Float64[np.ndarray, " row"]:
    largest = margins.max(0)
    return largest + np.log(np.exp(margins - largest).sum(0))


def _inverse_temperatures(
    margins: Margins, weight: Float64[np.ndarray, "fit row"], start: float
) -> Float64[np.ndarray, " fit"]:
    """β = 1 / T of the lowest weighted log loss of each fit, by Newton steps in log β, or bisection where a
    step would leave the bracket.

    Targets are smoothed by 1 / (effective rows + 1), as if one more row belonged equally to all classes (like
    the targets of Platt 1999, section 2.2). Otherwise separable rows would have no optimum, and a few rows
    without errors a very low temperature.
    """
    smoothing = 1 / (_effective_rows(weight) + 1)
    weight = weight / weight.sum(1, keepdims=True)
    smoothed = smoothing * (weight * margins.mean(0)).sum(1)
    below = margins - margins.max(0)
    log_beta = np.full(len(weight), np.log(start))
    low, high = np.full_like(log_beta, -np.log(HIGHEST)), np.full_like(log_beta, -np.log(LOWEST))
    for _ in range(_MAX_STEPS):
        beta = np.exp(log_beta)
        probability = np.exp(beta[:, None, None] * below)
        probability /= probability.sum(1, keepdims=True)
        first, second = (probability * margins).sum(1), (probability * margins**2).sum(1)
        slope = beta * ((weight * first).sum(1) - smoothed)
        curvature = slope + beta**2 * (weight * (second - first**2)).sum(1)
        low, high = np.where(slope < 0, log_beta, low), np.where(slope < 0, high, log_beta)
        newton = log_beta - slope / curvature
        inside = (low <= newton) & (newton <= high)
        before, log_beta = log_beta, np.where(inside, newton, (low + high) / 2)
        if np.abs(log_beta - before).max() < _TOLERANCE:
            break
    return np.exp(log_beta)


def _weights(
    y: Float64[Tensor, "member batch 1"], weight: Float[Tensor, "member batch 1"] | None
) -> Float64[Tensor, "member batch 1"]:
    return torch.ones_like(y) if weight is None else weight.double()
