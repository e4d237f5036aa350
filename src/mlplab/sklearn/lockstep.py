"""Training sets that train together; estimators that are fitted to the same rows take the networks."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar

from rich.console import Console

from mlplab.config import FrameData, TrainConfig
from mlplab.data.cache import DataCache, RunData
from mlplab.errors import UserError
from mlplab.runs.discovery import read_metrics
from mlplab.runs.resolve import resolved
from mlplab.runs.run import Run
from mlplab.runs.train import train_runs
from mlplab.runs.trained.ensemble import Ensemble, load
from mlplab.sklearn.training_set import TrainingSet, silent_training
from mlplab.sweeps.plan import cut, stack_key
from mlplab.sweeps.stack_size import StackSize

Trained = Sequence[tuple[TrainingSet, Ensemble]]

_TRAINED: ContextVar[Trained] = ContextVar("trained", default=())


class _Frames(DataCache):
    """The tables of several frames, by their fingerprints."""

    def __init__(self) -> None:
        super().__init__()
        self.caches: dict[str, DataCache] = {}

    def data(self, run: TrainConfig) -> RunData:
        """The table and split of a run on one of the frames."""
        assert isinstance(run.data, FrameData)
        return self.caches[run.data.fingerprint].data(run)


@contextmanager
def trained_together(sets: Sequence[TrainingSet]) -> Iterator[None]:
    """Trains networks in lockstep; within the block, `trained` returns them.

    What fails here is left to `trained`, which then fails as it does alone.
    """
    token = _TRAINED.set(_train(sets))
    try:
        yield
    finally:
        _TRAINED.reset(token)


def trained(training_set: TrainingSet) -> Ensemble:
    """The networks of a training set: those that were trained together with others, or else trained now.

    Raises:
        UserError, RunFailed: as `TrainingSet.train`.
    """
    known = (ensemble for other, ensemble in _TRAINED.get() if other.equals(training_set))
    return next(known, None) or training_set.train()


def _train(sets: Sequence[TrainingSet]) -> Trained:
    frames, groups = _Frames(), dict[str, list[Run]]()
    configs = dict[tuple[str, ...], TrainConfig]()
    with silent_training() as root:
        folders = [root / f"{number}" for number in range(len(sets))]
        for each, folder in zip(sets, folders, strict=True):
            with suppress(UserError):
                if each.overrides not in configs:
                    configs[each.overrides] = each.config()
                cache = DataCache(each.frame)
                run = Run(resolved(configs[each.overrides], cache, alone=True), folder)
                frames.caches.setdefault(str(cache.data(run.config).table.fingerprint["sha256"]), cache)
                groups.setdefault(stack_key(run, frames), []).append(run)
        for runs in groups.values():
            size = StackSize(runs[0].config, frames.data(runs[0].config)).runs(None)
            for stack in cut(runs, math.ceil(len(runs) / size)):
                with suppress(UserError):
                    train_runs(stack, frames, Console(quiet=True), title="")
        return [
            (each, load(folder))
            for each, folder in zip(sets, folders, strict=True)
            if read_metrics(folder)["status"] == "done"
        ]
