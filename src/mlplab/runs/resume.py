"""The training states from which runs resume: their own, or that of their stack."""

import logging
import os
from collections.abc import Hashable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from mlplab.config import ResolvedConfig
from mlplab.data.cache import DataCache, RunData
from mlplab.errors import UserError
from mlplab.files import Plain
from mlplab.runs import checkpoint
from mlplab.runs.folder import RunFolder
from mlplab.runs.planned_run import PlannedRun, differences
from mlplab.training.stack_state import StackState

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
    known, states = {name_in_sweep(path, run): run for run in runs}, {}
    for place, (name, table) in enumerate(zip(names, content.get("tables", []), strict=True)):
        if run := known.get(name):
            cache.data(run.config).check_unchanged(table, REMEDY)
            states[run.folder] = state.select(range(place * ensemble, (place + 1) * ensemble))
    return states


def name_in_sweep(stack_file: Path, run: PlannedRun) -> str:
    """The folder of a run relative to that of its sweep, given the checkpoint of its stack."""
    return os.path.relpath(run.folder, stack_file.parents[1])


def _state(path: Path, content: Plain) -> StackState:
    try:
        return StackState.from_plain(content["training"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise checkpoint.damaged(path, "it contains no training state") from error
