"""Runs with the weights with which training begins, and runs that a signal stops."""

import signal
from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.console import Console
from support import resolved

from mlplab.data.cache import DataCache
from mlplab.errors import Interrupted
from mlplab.runs.planned_run import PlannedRun
from mlplab.runs.train_runs import train_runs
from mlplab.runs.trained.trained_run import TrainedRun
from mlplab.training.callbacks.stopping import StopOnSignal
from mlplab.training.fit import StackTrainer
from mlplab.training.run import Run
from mlplab.training.stack.build import build_stack


def untrained(*members: Sequence[str]) -> list[TrainedRun]:
    """Runs of one stack with these overrides, in folders r0, r1, … that do not exist."""
    cache, found = DataCache(), list[TrainedRun]()
    configs = [resolved(*overrides, cache=cache) for overrides in members]
    runs = [Run(config, cache.data(config)) for config in configs]
    state = build_stack(runs)[0].network.state_dict()
    for place, run in enumerate(runs):
        size, data = run.config.ensemble, run.data
        own = {name: tensor[place * size :][:size] for name, tensor in state.items()}
        of_run = {"config": run.config, "schema": data.table.schema, "table": data.fingerprint}
        of_run |= {"folder": Path(f"r{place}"), "seen": [data.seen]}
        weights = dict.fromkeys(range(size), 1 / size)
        found.append(TrainedRun(**of_run, epoch=1, metrics={}, threshold=0.5, weights=weights, state=own))
    return found


def train_until(step: int, runs: Sequence[PlannedRun], cache: DataCache, file: Path | None = None) -> None:
    on_step = StopOnSignal.on_step

    def stop(self: StopOnSignal, stack: StackTrainer) -> None:
        if stack.trainer.global_step == step:
            self.received = signal.SIGTERM
        on_step(self, stack)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StopOnSignal, "on_step", stop)
        with pytest.raises(Interrupted):
            train_runs(runs, cache, Console(quiet=True), stack_file=file)
