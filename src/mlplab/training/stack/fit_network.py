"""What a network learns of its training rows before its training: the linear path, and initial weights."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from torch.func import functional_call

from mlplab.cpu_settings import one_thread
from mlplab.data.splits.split import Rows, sample_rows
from mlplab.data.table import Table
from mlplab.models import MLP, Network
from mlplab.models.data_driven_init import ROWS
from mlplab.models.linear_path import LinearPath, Solution, logistic, ridge
from mlplab.random_streams import generator

MOST_VALUES = 2**22
"""Rows × columns × outputs that a linear model is fitted to, so that this takes seconds at most."""

FEWER_ERRORS = 0.5
"""The error of ridge regression with weights of categories has to be so much smaller than without them."""


@torch.no_grad()
@one_thread()
def fit_linear_path(network: Network, table: Table, train: Sequence[Rows]) -> None:
    """Fits the linear path of a network, if it has one, to (a sample of) each member's training rows.

    Members with the same array of rows get the same map.
    """
    path, solutions = network.linear_path, dict[int, Solution]()
    if path is None:
        return
    for member, rows in enumerate(train):
        if id(rows) not in solutions:
            solutions[id(rows)] = _linear_model(network, path, table, member, rows)
        path.set(member, solutions[id(rows)])
        if path.residual[member].any():  # so that it begins as the linear model
            assert isinstance(network.body, MLP)
            for parameter in network.body.output.parameters():
                parameter[member] = 0


def _linear_model(network: Network, path: LinearPath, table: Table, member: int, rows: Rows) -> Solution:
    """The linear model of a member; embedded categories have a weight if it is exact with them alone."""
    preprocessing = network.preprocessing
    members, columns, outputs = path.weight.shape
    state = {name: each[member : member + 1] for name, each in preprocessing.state_dict().items()}

    def fitted(fit: Callable[..., Solution], categories: int = 0) -> Solution:
        sample = sample_rows(rows, max(MOST_VALUES // ((columns + categories) * outputs), 1))
        x, y = torch.from_numpy(table.x[sample])[None], torch.from_numpy(table.y[sample])[None]
        weight = torch.ones_like(y[..., :1])
        if table.weight is not None:
            weight = torch.from_numpy(table.weight[sample])[None, :, None]
        transform, y = preprocessing.target_transform, y.expand(members, -1, -1)
        weights = transform.loss_weight(y, weight.expand(members, -1, -1))
        assert weights is not None
        inputs = functional_call(preprocessing, state, x)
        seen = inputs.unscaled[0].double()
        if categories:
            one_hot = seen.new_zeros(len(seen), categories).scatter_(1, inputs.embedded_rows[0], 1)
            seen = torch.cat([seen, one_hot], 1)
        return fit(seen, transform.transform(y)[member].double(), weights[member])

    if classes := len(table.schema.classes):
        return fitted(partial(logistic, classes))
    solution = fitted(ridge)
    if categories := path.category_weight.shape[1]:
        more = fitted(ridge, categories)
        if more.residual.all() and (more.error < FEWER_ERRORS * solution.error).all():
            return more
    return solution


@torch.no_grad()
def initialize_by_data(network: Network, table: Table, train: Sequence[Rows], seeds: Sequence[int]) -> None:
    """Draws the initial weights of a network by training rows of each member.

    They are drawn with replacement, those with a higher weight more often.
    """
    sources = [generator(seed, "initial rows") for seed in seeds]
    drawn = [_draw(rows, table, source) for rows, source in zip(train, sources, strict=True)]
    x = torch.from_numpy(table.x[np.stack(drawn)])
    assert isinstance(network.body, MLP)
    network.eval()  # without dropout
    network.body.initialize(network.preprocessing.with_embeddings(network.preprocessing(x)), seeds)
    network.train()


def _draw(rows: Rows, table: Table, source: torch.Generator) -> Rows:
    if table.weight is None:
        return rows[torch.randint(len(rows), (ROWS,), generator=source).numpy()]
    below = table.weight[rows].cumsum()
    shares = torch.rand(ROWS, generator=source).double().numpy()  # of float32: none becomes 1 by rounding
    return rows[below.searchsorted(shares * below[-1], side="right")]
