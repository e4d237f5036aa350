"""Runs as after training, with the weights with which training begins."""

from collections.abc import Sequence
from pathlib import Path

from support import resolved

from mlplab.data.cache import DataCache
from mlplab.runs.trained.trained_run import TrainedRun
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
        found.append(
            TrainedRun(
                config=run.config,
                schema=data.table.schema,
                table=data.fingerprint,
                epoch=1,
                metrics={},
                threshold=0.5,
                weights=dict.fromkeys(range(size), 1 / size),
                state=own,
                folder=Path(f"r{place}"),
                seen=[data.seen],
            )
        )
    return found
