"""The saved training states: a run's own, and that of its stack."""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlplab.config import TrainConfig
from mlplab.data.cache import RunData
from mlplab.errors import UserError
from mlplab.runs.folder import RunFolder
from mlplab.runs.resume import differences
from mlplab.training import checkpoint
from mlplab.training.state import StackState

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


@dataclass(frozen=True)
class StackCheckpoint:
    """The file with the training state of all runs of a stack.

    It is in a subfolder of the sweep's folder. It names runs by the paths of their folders in the sweep's
    folder.
    """

    path: Path

    def name(self, folder: Path) -> str:
        """The name of a run in the file."""
        return os.path.relpath(folder, self.path.parents[1])

    def save(self, data: Mapping[Path, RunData], state: StackState) -> None:
        """Saves the training state of the runs with these folders, in the order of the state's members."""
        tables = {self.name(folder): each.fingerprint for folder, each in data.items()}
        checkpoint.save_stack(self.path, tables, training=state.plain())

    def load(self, data: Mapping[Path, RunData]) -> dict[Path, StackState]:
        """The training state of each of these runs. If the file is damaged, logs a warning and returns none.

        Raises:
            UserError: if a table or a split has changed.
        """
        try:
            content = checkpoint.load_newest(self.path)
            if content is None:
                return {}
            state, names = _state(self.path, content), content.get("runs", [])
        except UserError as error:
            log.warning("%s; its runs resume from their own checkpoints", error.faults[0].sentence())
            return {}
        fingerprints = dict(zip(names, content.get("tables", []), strict=True))
        folders = {self.name(folder): folder for folder in data}
        for name in folders.keys() & fingerprints.keys():
            data[folders[name]].check_unchanged(fingerprints[name], REMEDY)
        ensemble = len(state.diverged) // max(1, len(names))
        return {
            folders[name]: state.select(range(place * ensemble, (place + 1) * ensemble))
            for place, name in enumerate(names)
            if name in folders
        }

    def remove(self) -> None:
        """Removes the file and its previous versions."""
        checkpoint.remove(self.path)


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
