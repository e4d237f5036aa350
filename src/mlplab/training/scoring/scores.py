"""The metrics of predictions, and of networks on the rows of a test."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from jaxtyping import Float, Float64

from mlplab.config.metrics import DEFAULT_THRESHOLD, ThresholdMetric
from mlplab.conformal.quantiles import median_of, pinball_loss
from mlplab.data.batches.loader import Batch
from mlplab.data.schema import Schema
from mlplab.data.splits.split import Rows
from mlplab.data.table import Table
from mlplab.models import Network
from mlplab.training.scoring.calibration import best_threshold
from mlplab.training.scoring.evaluation import Evaluation, Values, outputs
from mlplab.training.scoring.losses import Loss
from mlplab.training.scoring.mean_predictions import SMALLEST_PROBABILITY, Predicted
from mlplab.training.scoring.metrics import build_metrics

Scores = dict[str, float]

RARE = 1 / 3
"""The share of rows up to which a class is rare."""

Weight = Float[np.ndarray, " row"] | None


def scores(
    predicted: Predicted,
    y: Float64[np.ndarray, "row target"],
    weight: Weight,
    classes: int = 0,
    targets: Sequence[str] = (),
    threshold: float = DEFAULT_THRESHOLD,
    quantiles: Sequence[float] = (),
) -> Scores:
    """The metrics of predictions.

    Args:
        predicted: the targets, the probabilities of classes, or the quantiles of a target.
        y: the targets, or the number of each row's class.
        classes: the number of classes; 0 for regression, whose metrics are means over targets.
        targets: if there are several, their names: each also gets metrics such as `rmse/TARGET`.
        threshold: the probability from which the second of two classes is predicted.
        quantiles: the levels of the quantiles, if these are predicted.
    """
    of_quantiles = dict[str, float]()
    if quantiles:
        of_quantiles["pinball"] = pinball_loss(predicted, y, weight, quantiles)
        predicted = median_of(predicted, quantiles)
    metrics = build_metrics(1, y.shape[1], classes, (threshold,))
    if classes:
        predicted = np.log(predicted.clip(SMALLEST_PROBABILITY, 1))
    weights = None if weight is None else torch.from_numpy(weight)[None, :, None]
    metrics.update(torch.from_numpy(predicted)[None], torch.from_numpy(y)[None], weights)
    computed = {name: value.flatten() for name, value in metrics.compute().items()}
    scores = {name: float(value.mean()) for name, value in computed.items()}
    if len(targets) > 1:
        for name, value in computed.items():
            scores |= {f"{name}/{target}": float(score) for target, score in zip(targets, value, strict=True)}
    return of_quantiles | scores


def table_scores(
    table: Table, rows: Rows, predicted: Predicted, threshold: float, quantiles: Sequence[float] = ()
) -> Scores:
    """The metrics of predictions for some rows of a table."""
    weight, schema = None if table.weight is None else table.weight[rows], table.schema
    y, classes = table.y[rows], len(schema.classes)
    return scores(predicted, y, weight, classes, schema.targets, threshold, quantiles)


def table_threshold(
    table: Table, rows: Rows, predicted: Float64[np.ndarray, "row class"], metric: ThresholdMetric
) -> float:
    """The threshold that is best for the predictions for some rows of a table."""
    weight = None if table.weight is None else table.weight[rows]
    return best_threshold(predicted[:, 1], table.y[rows, 0] == 1, weight, metric)


def first_class_scores(
    schema: Schema, predicted: Predicted, y: Float64[np.ndarray, "row target"], weight: Weight
) -> Scores:
    """The average precision of the first of two classes, if few rows have it; else nothing.

    `average_precision` is that of the second, and is high for a class that nearly all rows have.
    """
    share = np.average(y[:, 0], weights=weight) if len(schema.classes) == 2 else 0
    if not 1 - RARE < share < 1:
        return {}
    reversed_scores = scores(predicted[:, ::-1].copy(), 1 - y, weight, 2)
    return {f"average_precision/{schema.classes[0]}": reversed_scores["average_precision"]}


def score_networks(
    network: Network,
    loss: Loss,
    batches: Iterable[Batch],
    rows: Sequence[int],
    schema: Schema,
    thresholds: Sequence[float],
) -> tuple[Values, Float64[np.ndarray, "member row output"]]:
    """Loss and metrics of each member, as in training; and its predictions, those of padding too.

    `rows` and `thresholds` are the number of rows and the threshold of each member.
    """
    transform, parts = network.preprocessing.target_transform, []
    evaluation = Evaluation(loss, rows, schema, thresholds).to(network.preprocessing.impute_value.device)
    for z, batch in outputs(network, batches):
        evaluation.add(z, batch, transform)
        parts.append(transform.inverse_transform(z))
    values = evaluation.compute_and_reset(transform)
    return values, torch.cat(parts, 1).cpu().numpy()
