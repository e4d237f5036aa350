"""How many members a stack should have, and how long training takes: estimates from network and batch.

Only a new estimate needs torch.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

from mlplab import config
from mlplab.data.cache import DataCache, RunData
from mlplab.data.defaults import batch_rows
from mlplab.imports import heavy_imports

MAX_MEMBERS = 128
"""Members of a stack; more gain little."""

WORKING_SET = 12 * 2**20
"""Bytes that a step of a stack should use, fitted to `scripts/benchmark.py step`. With more, the time of a
member rises or stays the same; with less, members share too little of a step's fixed cost."""

MEMORY = 4 * 2**30
"""Bytes that a stack may use."""

FLOPS = 40e9
"""Floating-point operations a second of one core, for estimates."""

STEP_SECONDS = 4e-4
"""Fixed cost of a step, for estimates."""

CUSTOM_WIDTHS = (128, 128)
"""Assumed hidden layers of a network class of the user's."""


class TrainingCost:
    """The sizes that the memory and the time of a run in a stack depend on."""

    def __init__(self, cache: DataCache, run: config.ResolvedConfig) -> None:
        with heavy_imports():
            from mlplab.models import FeatureLayout

        data, itemsize = cache.data(run), run.trainer.precision // 8
        schema = data.table.schema
        layout = FeatureLayout(schema.category_counts, schema.missing)
        inputs = len(layout.columns(run.model.preprocessing))
        hidden: Sequence[int] = CUSTOM_WIDTHS
        bins, heads = 0, 1
        if isinstance(run.model, config.Mlp):
            hidden, heads = run.model.hidden, run.model.heads
            model, numbers = run.model, len(layout.numeric)
            bins = numbers * model.piecewise_linear_bins
            inputs += numbers * (model.periodic_projection or model.periodic_features)
            inputs += numbers * (model.piecewise_linear_width - 1) if bins else 0
        elif isinstance(run.model, config.Linear):
            hidden = ()
        widths = (inputs, *hidden, schema.outputs)
        self.weights = sum(a * b + b + (heads - 1) * (a + 2 * b) for a, b in pairwise(widths))
        batch, steps = batches(run, data)
        self.batch = batch * heads
        self.steps = steps * run.trainer.max_epochs
        self.ensemble = run.ensemble
        # Activations and their gradients; weights, their gradients, two moments and an average.
        self.step_bytes = itemsize * (2 * self.batch * (sum(widths) + bins) + 5 * self.weights)

    def runs(self, max_members: int | None) -> int:
        """Runs of a stack of `max_members` networks, but at least one.

        None: so many that a step uses about `WORKING_SET` bytes; at least two networks if `MEMORY` allows.
        """
        most = MEMORY // self.step_bytes
        members = max_members or min(MAX_MEMBERS, max(2, WORKING_SET // self.step_bytes), most)
        return max(1, members // self.ensemble)

    def seconds(self, runs: int, stacks: int) -> float:
        """Estimated seconds of training on one core."""
        operations = 6 * self.batch * self.weights * self.ensemble
        return self.steps * (runs * operations / FLOPS + stacks * STEP_SECONDS)


def batches(run: config.ResolvedConfig, data: RunData) -> tuple[int, int]:
    """The rows of a batch, and the number of batches of an epoch."""
    rows = max(len(member.split.train) for member in data.members)
    batch = batch_rows(run.data.batch_size, rows)
    return batch, math.ceil(rows / batch)
