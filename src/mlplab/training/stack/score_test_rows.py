"""Scores the networks of runs on their test rows."""

from collections.abc import Sequence

import numpy as np

from mlplab.config.metrics import DEFAULT_THRESHOLD
from mlplab.conformal.uncertainty import Uncertainty
from mlplab.data.batches.datamodule import TableDataModule
from mlplab.models import Network
from mlplab.training.outcome import Metrics, finite
from mlplab.training.run import Run
from mlplab.training.scoring.evaluation import Evaluation, Values
from mlplab.training.scoring.losses import Loss
from mlplab.training.scoring.mean_predictions import OfMembers, Predicted, weighted_mean
from mlplab.training.scoring.scores import all_scores
from mlplab.training.stack.calibrate import Calibration

Scored = tuple[Metrics, Predicted]
"""The scores of a run on its test rows, and its mean predictions for them."""


def score_test_rows(
    network: Network, loss: Loss, datamodule: TableDataModule, runs: Sequence[tuple[Run, Calibration]]
) -> list[Scored]:
    """The scores of the networks of runs on their test rows, and their mean predictions.

    Args:
        network, loss: of all members of a stack.
    """
    thresholds = np.full(len(datamodule.test), DEFAULT_THRESHOLD)
    for _, chosen in runs:
        thresholds[[*chosen.weights]] = chosen.threshold
    evaluation = Evaluation(loss, datamodule.test, datamodule.table.schema, thresholds.tolist())
    evaluation = evaluation.to(network.preprocessing.impute_value.device)
    values, predicted = evaluation.score(network, datamodule.test_dataloader())
    scored = []
    for run, chosen in runs:
        members = [*chosen.weights]
        of_members = predicted[members, : len(run.data.split.test)]
        member_values = {name: value[members].cpu() for name, value in values.items()}
        scored.append(_metrics(run, chosen, member_values, of_members))
    return scored


def _metrics(run: Run, chosen: Calibration, values: Values, predicted: OfMembers) -> Scored:
    """The scores of a network; of an ensemble, those of its mean prediction and of its networks."""
    table, rows = run.data.table, run.data.split.test
    quantiles, known, metrics = run.config.quantiles, None, Metrics()
    uncertainty = Uncertainty(table.schema, [chosen.residuals], quantiles)
    mean = uncertainty.corrected(weighted_mean(predicted, np.array([*chosen.weights.values()])))
    if not (run.data.bagged or quantiles):
        known = {name: value.item() for name, value in values.items()}
    if run.data.bagged:
        metrics |= {f"members/test/{name}": value.double().mean().item() for name, value in values.items()}
        if len(values["loss"]) > 1:
            metrics |= {f"members/sd/test/{name}": value.std().item() for name, value in values.items()}
    y, weight = table.y[rows], None if table.weight is None else table.weight[rows]
    found = all_scores(uncertainty, mean, y, weight, chosen.threshold, known)
    return finite({f"test/{name}": value for name, value in found.items()} | metrics), mean
