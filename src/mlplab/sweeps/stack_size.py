"""How many members a stack should have, and how long training takes: estimates from network and batch."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from mlplab import config
from mlplab.data.cache import RunData
from mlplab.data.datamodule import batch_rows
from mlplab.data.loader import WINDOW
from mlplab.models import FeatureLayout
from mlplab.runs.stack.build import MEMMAP_BLOCK

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


@dataclass(frozen=True)
class StackSize:
    """The sizes that a member's memory and time depend on.

    Args:
        widths: of all layers, with inputs (and their periodic features) and outputs.
        batch: rows of a step.
        steps: of the whole training.
        itemsize: bytes of a number.
        window: bytes of the rows in memory, for a memory-mapped table.
        ensemble: members of a run.
    """

    widths: tuple[int, ...]
    batch: int
    steps: int
    itemsize: int
    window: int = 0
    ensemble: int = 1

    @classmethod
    def of(cls, run: config.TrainConfig, data: RunData) -> "StackSize":
        """The sizes of a run."""
        table, schema = data.table, data.table.schema
        rows = max(len(member.split.train) for member in data.members)
        hidden: Sequence[int] = CUSTOM_WIDTHS
        if isinstance(run.model, config.Mlp):
            hidden = config.chosen(run.model.hidden)
        elif isinstance(run.model, config.Linear):
            hidden = ()
        batch = batch_rows(config.chosen(run.data.batch_size), rows)
        steps = math.ceil(rows / batch) * config.chosen(run.trainer.max_epochs)
        layout = FeatureLayout(schema.categories, schema.missing)
        inputs = layout.width(run.model.preprocessing)
        if isinstance(run.model, config.Mlp):
            inputs += config.chosen(run.model.periodic_features) * len(layout.numeric)
        widths = (inputs, *hidden, schema.outputs)
        itemsize = run.trainer.precision // 8
        window = 2 * WINDOW * MEMMAP_BLOCK * table.x.shape[1] * itemsize if table.memmapped else 0
        return cls(widths, batch, steps, itemsize, window, config.chosen(run.ensemble))

    @property
    def weights(self) -> int:
        """Number of weights and biases."""
        return sum(a * b + b for a, b in pairwise(self.widths))

    def members(self) -> int:
        """Members of a stack whose step uses about `WORKING_SET` bytes; at least two if `MEMORY` allows.

        A member uses activations and their gradients, and weights, their gradients, two moments and an
        average.
        """
        used = self.itemsize * (2 * self.batch * sum(self.widths) + 5 * self.weights)
        return max(1, min(MAX_MEMBERS, max(2, WORKING_SET // used), MEMORY // (used + self.window)))

    def runs(self, members: int) -> int:
        """Runs of a stack of about that many members; at least one."""
        return max(1, members // self.ensemble)

    def seconds(self, runs: int, stacks: int) -> float:
        """Estimated seconds of training on one core."""
        operations = 6 * self.batch * self.weights * self.ensemble
        return self.steps * (runs * operations / FLOPS + stacks * STEP_SECONDS)
