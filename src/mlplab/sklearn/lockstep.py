"""Fits that train together. They are called twice: to see what they train on, and to take their networks."""

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar

import numpy as np
from rich.console import Console

from mlplab.config import FrameData, TrainConfig
from mlplab.data.cache import DataCache, RunData
from mlplab.errors import UserError
from mlplab.runs.discovery import read_metrics
from mlplab.runs.planned_run import PlannedRun
from mlplab.runs.resolve import resolved
from mlplab.runs.train import train_runs
from mlplab.runs.trained.ensemble import Ensemble
from mlplab.runs.trained.load import load
from mlplab.sklearn.training_set import TrainingSet, silent_training
from mlplab.sweeps.plan import cut, stack_key
from mlplab.sweeps.stack_size import StackSize

_TRAIN: ContextVar[Callable[[TrainingSet], Ensemble]] = ContextVar("train", default=TrainingSet.train)
"""How `fit` trains."""


class _RehearsedError(Exception):
    """A fit has come as far as its training, which is to be with others."""


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
def trained_together(rehearse: Callable[[], object]) -> Iterator[None]:
    """Trains the networks of several fits in lockstep; within the block, the same fits take them.

    What fails here is left to these fits, which then fail as they do alone.

    Args:
        rehearse: calls the fits, which end before their training. What they draw from NumPy's global random
            numbers is drawn again by the fits within the block.
    """
    sets, drawn = list[TrainingSet](), np.random.get_state()

    def rehearsed(each: TrainingSet) -> Ensemble:
        sets.append(each)
        raise _RehearsedError

    with _training_by(rehearsed), suppress(ValueError), warnings.catch_warnings(action="ignore"):
        rehearse()
    np.random.set_state(drawn)
    networks = _train(sets)

    def known(each: TrainingSet) -> Ensemble:
        return next((found for other, found in networks if other.equals(each)), None) or each.train()

    with _training_by(known):
        yield


def trained(training_set: TrainingSet) -> Ensemble:
    """The networks of a training set: those that were trained together with others, or else trained now.

    Raises:
        UserError, RunFailed: as `TrainingSet.train`.
    """
    return _TRAIN.get()(training_set)


@contextmanager
def _training_by(train: Callable[[TrainingSet], Ensemble]) -> Iterator[None]:
    token = _TRAIN.set(train)
    try:
        yield
    finally:
        _TRAIN.reset(token)


def _train(sets: Sequence[TrainingSet]) -> list[tuple[TrainingSet, Ensemble]]:
    frames, groups = _Frames(), dict[str, list[PlannedRun]]()
    configs = dict[tuple[str, ...], TrainConfig]()
    with silent_training() as root:
        folders = [root / f"{number}" for number in range(len(sets))]
        for each, folder in zip(sets, folders, strict=True):
            with suppress(UserError):
                if each.overrides not in configs:
                    configs[each.overrides] = each.config()
                cache = DataCache(each.frame)
                run = PlannedRun(resolved(configs[each.overrides], cache, alone=True), folder)
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
