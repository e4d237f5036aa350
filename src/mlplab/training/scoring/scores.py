"""The metrics of predictions."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mlplab.config.metrics import DEFAULT_THRESHOLD
from mlplab.conformal.intervals import Y
from mlplab.conformal.quantiles import median_of
from mlplab.conformal.uncertainty import Uncertainty
from mlplab.data.schema import Schema
from mlplab.training.scoring.losses import pinball
from mlplab.training.scoring.mean_predictions import SMALLEST_PROBABILITY, Predicted
from mlplab.training.scoring.metrics import build_metrics, by_target

Scores = dict[str, float]

RARE = 1 / 3
"""The share of rows up to which a class is rare."""

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


ONE_TARGET = Task()


def scores(
    predicted: Predicted, y: Y, weight: Weight, task: Task = ONE_TARGET, threshold: float = DEFAULT_THRESHOLD
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
