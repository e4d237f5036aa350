"""The weights of classes in the loss."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from mlplab import config
from mlplab.data.cache import RunData
from mlplab.data.task import weights_by_class


def class_weights(
    configs: Sequence[config.TrainConfig], data: Sequence[RunData]
) -> Float64[Tensor, "member 1 class"] | None:
    """The weight of each class in each member's loss; None if all are 1.

    They are scaled so that the mean weight of a member's training rows is 1; row weights count.
    """
    if configs[0].data.class_weights == "none":  # the same for all members
        return None
    return torch.stack([_of_run(run, each) for run, each in zip(configs, data, strict=True)])


def _of_run(run: config.TrainConfig, data: RunData) -> Float64[Tensor, "1 class"]:
    table, rows, wanted = data.table, data.split.train, run.data.class_weights
    classes = table.schema.classes
    row_weight = None if table.weight is None else table.weight[rows]
    counts = np.bincount(table.y[rows, 0].astype(np.int64), row_weight, minlength=len(classes)).astype(float)
    if isinstance(wanted, dict):
        weights = np.array([*weights_by_class(wanted, classes).values()])
    else:  # balanced
        weights = np.divide(1, counts, out=np.zeros_like(counts), where=counts > 0)
    return torch.from_numpy(weights * counts.sum() / (weights * counts).sum())[None]
