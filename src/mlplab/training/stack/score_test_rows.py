"""Scores the networks of runs on their test rows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from mlplab.config.metrics import DEFAULT_THRESHOLD
from mlplab.conformal.residuals import Residuals
from mlplab.conformal.uncertainty import Uncertainty
from mlplab.data.batches.datamodule import TableDataModule
from mlplab.models import Network
from mlplab.training.outcome import Metrics, finite
from mlplab.training.run import Run
from mlplab.training.scoring.evaluation import Values
from mlplab.training.scoring.losses import Loss
from mlplab.training.scoring.mean_predictions import Predicted, weighted_mean
from mlplab.training.scoring.scores import Scores, first_class_scores, score_networks, table_scores


@dataclass(frozen=True)
class ToScore:
    """A run whose networks are to be scored.

    Args:
        members: the places of its networks in the stack.
        weights: of these in the mean prediction.
    """

    run: Run
    members: Sequence[int]
    weights: Sequence[float]
    threshold: float
    residuals: Sequence[Residuals]


def score_test_rows(
    network: Network, loss: Loss, datamodule: TableDataModule, runs: Sequence[ToScore]
) -> list[tuple[Metrics, Predicted]]:
    """The scores of the networks of runs on their test rows, and their mean predictions.

    Args:
        network, loss: of all members of a stack.
    """
    thresholds = np.full(len(datamodule.test), DEFAULT_THRESHOLD)
    for each in runs:
        thresholds[each.members] = each.threshold
    values, predicted = score_networks(
        network,
        loss,
        datamodule.test_dataloader(),
        [len(rows) for rows in datamodule.test],
        runs[0].run.data.table.schema,
        thresholds.tolist(),
    )
    scored = []
    for each in runs:
        of_members = predicted[each.members, : len(each.run.data.split.test)]
        member_values = {name: value[each.members].cpu() for name, value in values.items()}
        scored.append(_metrics(each, member_values, of_members))
    return scored


def _metrics(
    scored: ToScore, values: Values, predicted: Float64[np.ndarray, "member row output"]
) -> tuple[Metrics, Predicted]:
    """The scores of a network; of an ensemble, those of its mean prediction and of its networks."""
    run, table, rows = scored.run, scored.run.data.table, scored.run.data.split.test
    quantiles, found, metrics = run.config.quantiles, Scores(), Metrics()
    uncertainty = Uncertainty(table.schema, [scored.residuals], quantiles)
    mean = weighted_mean(predicted, np.array(scored.weights))
    if quantiles:
        mean = uncertainty.corrected(mean)
    if not (run.data.bagged or quantiles):
        found = {name: value.item() for name, value in values.items()}
    else:
        found = table_scores(table, rows, mean, scored.threshold, quantiles)
    if run.data.bagged:
        metrics |= {f"members/test/{name}": value.double().mean().item() for name, value in values.items()}
        if len(values["loss"]) > 1:
            metrics |= {f"members/sd/test/{name}": value.std().item() for name, value in values.items()}
    y, weight = table.y[rows], None if table.weight is None else table.weight[rows]
    found |= uncertainty.scores(mean, y, weight)
    found |= first_class_scores(table.schema, mean, y, weight)
    return finite({f"test/{name}": value for name, value in found.items()} | metrics), mean
