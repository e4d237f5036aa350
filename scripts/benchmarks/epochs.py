"""How long epochs and steps take inside Lightning's `Trainer.fit`."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from time import perf_counter
from typing import Any
from unittest.mock import patch

from lightning.pytorch import LightningModule


@dataclass
class Epoch:
    """Moments of one epoch: its start, before its first batch is made; the start of each step; its end."""

    start: float
    steps: list[float] = field(default_factory=list)
    end: float = 0.0

    @property
    def seconds(self) -> float:
        """Of the whole epoch, its validation excluded."""
        return self.end - self.start

    @property
    def step_seconds(self) -> list[float]:
        """Of each step, the making of the next batch included."""
        return [after - before for before, after in pairwise((*self.steps, self.end))]


@contextmanager
def timed(module: type[LightningModule]) -> Iterator[list[Epoch]]:
    """Gives a list that fills with the epochs that such modules train."""
    epochs: list[Epoch] = []
    on_epoch, on_step, on_end = (
        module.on_train_epoch_start,
        module.on_train_batch_start,
        module.on_validation_start,
    )

    def start(self: LightningModule) -> None:
        epochs.append(Epoch(perf_counter()))
        on_epoch(self)

    def step(self: LightningModule, *batch: Any) -> int | None:
        epochs[-1].steps.append(perf_counter())
        return on_step(self, *batch)

    def end(self: LightningModule) -> None:
        if epochs:  # Lightning also validates once before it trains
            epochs[-1].end = perf_counter()
        on_end(self)

    with (
        patch.object(module, "on_train_epoch_start", start),
        patch.object(module, "on_train_batch_start", step),
        patch.object(module, "on_validation_start", end),
    ):
        yield epochs
