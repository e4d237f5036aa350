"""Scores the networks of runs on their test rows."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from mlplab.config.metrics import DEFAULT_THRESHOLD
from mlplab.conformal.uncertainty import Uncertainty
from mlplab.data.batches.datamodule import TableDataModule
from mlplab.models import Network
from mlplab.training.outcome import Metrics, finite
from mlplab.training.run import Run
from mlplab.training.scoring.evaluation import Values
from mlplab.training.scoring.losses import Loss
from mlplab.training.scoring.mean_predictions import Predicted, weighted_mean
from mlplab.training.scoring.scores import Scores, first_class_scores, score_networks, table_scores
from mlplab.training.stack.calibrate import Calibration


def score_test_rows(
    network: Network, loss: Loss, datamodule: TableDataModule, runs: Sequence[tuple[Run, Calibration]]
) -> list[tuple[Metrics, Predicted]]:
    """The scores of the networks of runs on their test rows, and their mean predictions.

    Args:
        network, loss: of all members of a stack.
    """
    thresholds = np.full(len(datamodule.test), DEFAULT_THRESHOLD)
    for _, chosen in runs:
        thresholds[chosen.members] = chosen.threshold
    values, predicted = score_networks(
        network,
        loss,
        datamodule.test_dataloader(),
        [len(rows) for rows in datamodule.test],
        runs[0][0].data.table.schema,
        thresholds.tolist(),
    )
    scored = []
    for run, chosen in runs:
        of_members = predicted[chosen.members, : len(run.data.split.test)]
        member_values = {name: value[chosen.members].cpu() for name, value in values.items()}
        scored.append(_metrics(run, chosen, member_values, of_members))
    return scored


def _metrics(
    run: Run, chosen: Calibration, values: Values, predicted: Float64[np.ndarray, "member row output"]
) -> tuple[Metrics, Predicted]:
    """The scores of a network; of an ensemble, those of its mean prediction and of its networks."""
    table, rows = run.data.table, run.data.split.test
    quantiles, found, metrics = run.config.quantiles, Scores(), Metrics()
    uncertainty = Uncertainty(table.schema, [chosen.residuals], quantiles)
    mean = weighted_mean(predicted, np.array(chosen.weights))
    if quantiles:
        mean = uncertainty.corrected(mean)
    if not (run.data.bagged or quantiles):
        found = {name: value.item() for name, value in values.items()}
    else:
        found = table_scores(table, rows, mean, chosen.threshold, quantiles)
    if run.data.bagged:
        metrics |= {f"members/test/{name}": value.double().mean().item() for name, value in values.items()}
        if len(values["loss"]) > 1:
            metrics |= {f"members/sd/test/{name}": value.std().item() for name, value in values.items()}
    y, weight = table.y[rows], None if table.weight is None else table.weight[rows]
    found |= uncertainty.scores(mean, y, weight)
    found |= first_class_scores(table.schema, mean, y, weight)
    return finite({f"test/{name}": value for name, value in found.items()} | metrics), mean
