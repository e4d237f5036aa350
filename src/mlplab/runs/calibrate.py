"""Chooses the temperature of each member of a stack on its validation rows."""

from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from mlplab.data.loader import Batch
from mlplab.models import Network
from mlplab.training.calibration import fit_temperature


def temperatures(
    network: Network, batches: Iterable[Batch], rows: Sequence[int]
) -> Float64[Tensor, "member 1 1"]:
    """The temperature of each member, by `fit_temperature`.

    Args:
        batches: the validation rows of all members, in order.
        rows: the number of each member's rows; what follows them is padding.
    """
    device = network.eval().preprocessing.impute_value.device
    with torch.inference_mode():
        moved = (batch.to(device) for batch in batches)
        found = [(network.forward_scaled(batch.x), batch.y, batch.weight) for batch in moved]
    logits = torch.cat([each for each, _, _ in found], 1)
    y = torch.cat([each for _, each, _ in found], 1)
    weight = torch.cat([_weights(targets, weights) for _, targets, weights in found], 1)
    chosen = [
        fit_temperature(logits[member, :count], y[member, :count, 0].long(), weight[member, :count, 0])
        for member, count in enumerate(rows)
    ]
    return torch.tensor(chosen, dtype=torch.float64).reshape(-1, 1, 1)


def _weights(
    y: Float64[Tensor, "member batch 1"], weight: Float[Tensor, "member batch 1"] | None
) -> Float64[Tensor, "member batch 1"]:
    return torch.ones_like(y) if weight is None else weight.double()
