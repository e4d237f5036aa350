"""Runs that a signal stops, trained as by the command."""

import signal
from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.console import Console

from mlplab.data.cache import DataCache
from mlplab.errors import Interrupted
from mlplab.runs.planned_run import PlannedRun
from mlplab.runs.train import train_runs
from mlplab.training.callbacks.stopping import StopOnSignal
from mlplab.training.fit import StackTrainer


def train_until(step: int, runs: Sequence[PlannedRun], cache: DataCache, file: Path | None = None) -> None:
    """Trains a stack until a signal stops it after this step."""
    on_step = StopOnSignal.on_step

    def stop(self: StopOnSignal, stack: StackTrainer) -> None:
        if stack.trainer.global_step == step:
            self.received = signal.SIGTERM
        on_step(self, stack)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StopOnSignal, "on_step", stop)
        with pytest.raises(Interrupted):
            train_runs(runs, cache, Console(quiet=True), stack_file=file)
