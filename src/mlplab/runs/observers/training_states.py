"""The training states from which runs resume: saved at times, and loaded."""

import logging
import os
from collections.abc import Hashable, Mapping, Sequence
from contextlib import suppress
from math import inf
from pathlib import Path
from time import perf_counter

from mlplab.config import ResolvedConfig
from mlplab.data.cache import DataCache, RunData
from mlplab.errors import UserError
from mlplab.files import Plain
from mlplab.runs import checkpoint
from mlplab.runs.folder import RunFolder
from mlplab.runs.observers.open_run import OpenRun
from mlplab.runs.planned_run import PlannedRun, differences
from mlplab.training.fit import Observer, StackTrainer
from mlplab.training.stack.outcomes import metrics_of, of_members
from mlplab.training.state import StackState

REMEDY = "restore it, or start a new run"
"""Remedy for a table or a split that has changed."""

log = logging.getLogger(__name__)


def resume_groups(
    runs: Sequence[PlannedRun], cache: DataCache, stack_file: Path | None
) -> list[tuple[list[PlannedRun], StackState | None]]:
    """Runs at the same step, which can train together, and their training state; None: from the beginning.

    A run resumes from the later of the states that it and its stack have saved.

    Raises:
        UserError: if a state cannot be used, or if a table or a split has changed.
    """
    shared = _stack_states(stack_file, runs, cache) if stack_file else {}
    groups: dict[Hashable, list[tuple[PlannedRun, StackState | None]]] = {}
    for run in runs:
        state = None
        if run.resume:
            states = shared.get(run.folder), saved_state(run.folder, run.config, cache.data(run.config))
            state = max((saved for saved in states if saved), key=lambda saved: saved.step, default=None)
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
    return _state(path, content)


class Checkpoints(Observer):
    """Saves the training state at intervals, in case the process is killed.

    Args:
        runs: of the stack; each saves its state in its own folder, unless there is a file.
        file: the checkpoint of a sweep's stack, in a subfolder of the sweep's folder.
    """

    def __init__(self, runs: Sequence[OpenRun], file: Path | None) -> None:
        minutes = runs[0].run.config.callbacks.checkpoint.every_minutes
        self._seconds, self._last = inf if minutes is None else 60 * minutes, perf_counter()
        self._runs, self._file = {run.run: run for run in runs}, file

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
        if len(self._runs) > 1 and (stack.signals.received or stack.pruning.reasons):
            self._save(stack)

    def _save(self, stack: StackTrainer) -> None:
        """Saves the states of all runs in one file, or in their folders: there, weights that are not finite
        never replace finite ones.

        The file names runs, in the order of the state's members, by their folders in the sweep's folder.
        """
        runs = [self._runs[run] for run in stack.runs]
        for logger in (logger for run in runs for logger in run.loggers):
            logger.save()  # so that its points are not lost if the process is killed
        state = stack.state()
        if self._file:
            names = [_name(self._file, run.plan) for run in runs]
            tables = [dict(run.run.data.fingerprint) for run in runs]
            checkpoint.save(self._file, {"runs": names, "tables": tables, "training": state.plain()})
            return
        for index, run in enumerate(runs):
            members, metrics = stack.members_not_diverged(index), metrics_of(stack, index)
            network = of_members(state.parts["network"], members)
            if all(tensor.isfinite().all() for tensor in network.values()):
                weights = {member % stack.module.members.ensemble: 1 / len(members) for member in members}
                run.save_last(metrics, weights, network, state.select(stack.members(index)))


def _stack_states(path: Path, runs: Sequence[PlannedRun], cache: DataCache) -> dict[Path, StackState]:
    """The training state of each of these runs. If the file is damaged, logs a warning and returns none."""
    try:
        content = checkpoint.load_newest(path)
        if content is None:
            return {}
        state, names = _state(path, content), content.get("runs", [])
    except UserError as error:
        log.warning("%s; its runs resume from their own checkpoints", error.faults[0].sentence())
        return {}
    ensemble = len(state.diverged) // max(1, len(names))
    known, states = {_name(path, run): run for run in runs}, {}
    for place, (name, table) in enumerate(zip(names, content.get("tables", []), strict=True)):
        if run := known.get(name):
            cache.data(run.config).check_unchanged(table, REMEDY)
            states[run.folder] = state.select(range(place * ensemble, (place + 1) * ensemble))
    return states


def _name(path: Path, run: PlannedRun) -> str:
    return os.path.relpath(run.folder, path.parents[1])


def _state(path: Path, content: Plain) -> StackState:
    try:
        return StackState.from_plain(content["training"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise checkpoint.damaged(path, "it contains no training state") from error
