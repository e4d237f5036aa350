"""The training states from which runs resume: saved at times, and loaded."""

from collections.abc import Hashable, Mapping, Sequence
from contextlib import suppress
from math import inf
from pathlib import Path
from time import perf_counter

from mlplab.config import ResolvedConfig
from mlplab.data.cache import DataCache, RunData
from mlplab.errors import UserError
from mlplab.runs import checkpoint
from mlplab.runs.folder import RunFolder
from mlplab.runs.observers.open_run import OpenRun
from mlplab.runs.planned_run import PlannedRun
from mlplab.runs.resume import differences
from mlplab.training.fit import StackTrainer
from mlplab.training.observer import Observer
from mlplab.training.stack.outcomes import metrics_of, of_members
from mlplab.training.state import StackState

REMEDY = "restore it, or start a new run"
"""Remedy for a table or a split that has changed."""


def resume_groups(
    runs: Sequence[PlannedRun], cache: DataCache
) -> list[tuple[list[PlannedRun], StackState | None]]:
    """Runs at the same step, which can train together, and their training state; None: from the beginning.

    Raises:
        UserError: if a state cannot be used, or if a table or a split has changed.
    """
    groups: dict[Hashable, list[tuple[PlannedRun, StackState | None]]] = {}
    for run in runs:
        state = saved_state(run.folder, run.config, cache.data(run.config)) if run.resume else None
        groups.setdefault(state.join_key if state else None, []).append((run, state))
    return [
        ([run for run, _ in group], StackState.join([state for _, state in group if state]) if key else None)
        for key, group in groups.items()
    ]


def can_resume(run: PlannedRun, cache: DataCache) -> bool:
    """Whether a run can resume from its own training state."""
    with suppress(UserError):
        saved_state(run.folder, run.config, cache.data(run.config))
        return True
    return False


def saved_state(folder: Path, run: ResolvedConfig, data: RunData) -> StackState | None:
    """The training state in a run's own checkpoint; None if training must start from the beginning.

    Raises:
        UserError: if its checkpoint and the previous one are damaged or belong to a different run, or if the
            table or the split has changed.
    """
    path = RunFolder(folder).last
    content = checkpoint.load_newest(path)
    if content and "training" not in content:  # killed after its last checkpoint, before its test scores
        older = checkpoint.previous(path)
        content = checkpoint.load(older) if older.exists() else None
    if content is None or "training" not in content:  # or killed there twice
        return None
    config = content.get("config")
    if faults := differences(run, config if isinstance(config, Mapping) else {}, str(path)):
        raise UserError(*faults)
    data.check_unchanged(content.get("table"), REMEDY)
    try:
        return StackState.from_plain(content["training"])
    except (TypeError, AttributeError) as error:
        raise checkpoint.damaged(path, "it contains no training state") from error


class Checkpoints(Observer):
    """Saves the training state of each run in its folder at intervals, in case the process is killed."""

    def __init__(self, runs: Sequence[OpenRun]) -> None:
        minutes = runs[0].run.config.callbacks.checkpoint.every_minutes
        self._seconds, self._last = inf if minutes is None else 60 * minutes, perf_counter()
        self._runs = {run.run: run for run in runs}

    def on_step(self, stack: StackTrainer) -> None:
        """Saves within an epoch if it is time; after an epoch's last step, `on_epoch` saves."""
        if stack.module.progress.step < stack.module.progress.steps:
            self.on_epoch(stack)

    def on_epoch(self, stack: StackTrainer) -> None:
        """Saves between epochs if it is time."""
        if perf_counter() - self._last >= self._seconds:
            self._save(stack)
            self._last = perf_counter()

    def on_stop(self, stack: StackTrainer) -> None:
        """Saves what was decided by several runs together: it must not change."""
        if stack.pruning.reasons:
            self._save(stack)

    def _save(self, stack: StackTrainer) -> None:
        """Saves the states; weights that are not finite never replace finite ones."""
        state = stack.state()
        for index, run in enumerate(self._runs[run] for run in stack.runs):
            for logger in run.loggers:
                logger.save()  # so that its points are not lost if the process is killed
            members, metrics = stack.members_not_diverged(index), metrics_of(stack, index)
            network = of_members(state.parts["network"], members)
            if all(tensor.isfinite().all() for tensor in network.values()):
                weights = {member % stack.module.members.ensemble: 1 / len(members) for member in members}
                run.save_last(metrics, weights, network, state.select(stack.members(index)))
