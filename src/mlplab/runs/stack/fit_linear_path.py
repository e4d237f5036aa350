"""Fits the linear path of each member to its training rows."""

from collections.abc import Sequence
from functools import partial

import torch
from torch.func import functional_call

from mlplab.data.splits.split import Rows, sample_rows
from mlplab.data.table import Table
from mlplab.models import Network
from mlplab.models.linear_path import Solution, logistic, ridge

MOST_VALUES = 2**22
"""Values of the columns that a linear model is fitted to, so that this takes seconds at most."""


def fit_linear_path(network: Network, table: Table, train: Sequence[Rows]) -> None:
    """Fits the linear path of a network, if it has one, to (a sample of) each member's training rows.

    Members with the same array of rows get the same map.
    """
    path, preprocessing = network.linear_path, network.preprocessing
    if path is None:
        return
    most, solutions = max(MOST_VALUES // path.weight.shape[1], 1), dict[int, Solution]()
    for member, rows in enumerate(train):
        if id(rows) not in solutions:
            sample = sample_rows(rows, most)
            state = {name: each[member : member + 1] for name, each in preprocessing.state_dict().items()}
            x, y = torch.from_numpy(table.x[sample])[None], torch.from_numpy(table.y[sample])[None]
            weight = torch.ones_like(y[..., :1])
            if table.weight is not None:
                weight = torch.from_numpy(table.weight[sample])[None, :, None]
            transform, y = preprocessing.target_transform, y.expand(len(train), -1, -1)
            weights = transform.loss_weight(y, weight.expand(len(train), -1, -1))
            assert weights is not None
            columns = functional_call(preprocessing, state, x).unscaled[0].double()
            classes = len(table.schema.classes)
            fit = partial(logistic, classes) if classes else ridge
            solutions[id(rows)] = fit(columns, transform.transform(y)[member].double(), weights[member])
        path.set(member, solutions[id(rows)])
