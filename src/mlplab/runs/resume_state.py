"""The saved training states: a run's own, and that of its stack."""

import logging
import os
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlplab.config import TrainConfig
from mlplab.data.cache import RunData
from mlplab.errors import UserError
from mlplab.runs.folder import RunFolder
from mlplab.runs.resume import differences
from mlplab.training import checkpoint
from mlplab.training.state import StackState

if TYPE_CHECKING:
    from mlplab.runs.stack_trainer import TrainingRun

REMEDY = "restore it, or start a new run"
"""Remedy for a table or a split that has changed."""

log = logging.getLogger(__name__)


def check_same_rows(folder: Path, data: RunData) -> bool:
    """Checks that a run was trained on this table and split; False if there is nothing to check.

    Raises:
        UserError: if they have changed.
    """
    path = RunFolder(folder).best
    if path.exists():
        data.check_unchanged(checkpoint.load(path).get("table"), REMEDY)
    return path.exists()


def saved_state(folder: Path, run: TrainConfig, data: RunData) -> StackState | None:
    """The training state in a run's own checkpoint; None if training must start from the beginning.

    Raises:
        UserError: if its checkpoint and the previous one are damaged or belong to a different run, or if the
            table or the split has changed.
    """
    path = RunFolder(folder).last
    content = checkpoint.load_newest(path)
    if (
        content and content.get("training") is None
    ):  # killed after its last checkpoint, before its test scores
        older = checkpoint.previous(path)
        content = checkpoint.load(older) if older.exists() else None
    if content is None or content.get("training") is None:  # or killed there twice
        return None
    if faults := differences(run, _part(path, content, "config"), str(path)):
        raise UserError(*faults)
    data.check_unchanged(content.get("table"), REMEDY)
    return _state(path, content)


def resume_groups(
    runs: Sequence["TrainingRun"], stack_file: Path | None
) -> list[tuple[list["TrainingRun"], StackState | None]]:
    """Runs at the same step, which can train together, and their training state; None: from the beginning.

    A run resumes from the later of the states that it and its stack have saved.

    Raises:
        UserError: if a state cannot be used, or if a table or a split has changed.
    """
    shared = _load_stack_states(stack_file, runs) if stack_file else {}
    groups: dict[Hashable, list[tuple[TrainingRun, StackState | None]]] = {}
    for run in runs:
        state, path = None, run.run.folder
        if run.run.resume:
            states = shared.get(path), saved_state(path, run.config, run.data)
            state = max((each for each in states if each), key=lambda each: each.step, default=None)
        groups.setdefault(state.join_key if state else None, []).append((run, state))
    return [
        ([run for run, _ in group], StackState.join([state for _, state in group if state]) if key else None)
        for key, group in groups.items()
    ]


def save_stack_state(path: Path, runs: Sequence["TrainingRun"], state: StackState) -> None:
    """Saves the training state of the runs of a stack, in the order of the state's members.

    The file is in a subfolder of the sweep's folder. It names runs by the paths of their folders in the
    sweep's folder.
    """
    tables = {_name(path, run): run.data.fingerprint for run in runs}
    checkpoint.save_stack(path, tables, training=state.plain())


def _load_stack_states(path: Path, runs: Sequence["TrainingRun"]) -> dict[Path, StackState]:
    """The training state of each of these runs. If the file is damaged, logs a warning and returns none."""
    try:
        content = checkpoint.load_newest(path)
        if content is None:
            return {}
        state, names = _state(path, content), content.get("runs", [])
    except UserError as error:
        log.warning("%s; its runs resume from their own checkpoints", error.faults[0].sentence())
        return {}
    fingerprints = dict(zip(names, content.get("tables", []), strict=True))
    known = {_name(path, run): run for run in runs}
    for name in known.keys() & fingerprints.keys():
        known[name].data.check_unchanged(fingerprints[name], REMEDY)
    ensemble = len(state.diverged) // max(1, len(names))
    return {
        known[name].run.folder: state.select(range(place * ensemble, (place + 1) * ensemble))
        for place, name in enumerate(names)
        if name in known
    }


def _name(path: Path, run: "TrainingRun") -> str:
    """The name of a run in the file of its stack."""
    return os.path.relpath(run.run.folder, path.parents[1])


def _state(path: Path, content: Mapping[str, Any]) -> StackState:
    training = _part(path, content, "training")
    try:
        return StackState.from_plain(training)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise checkpoint.damaged(path, "it contains no training state") from error


def _part(path: Path, content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = content.get(name)
    if not isinstance(part, Mapping):
        raise checkpoint.damaged(path, f"its entry '{name}' is missing")
    return part
