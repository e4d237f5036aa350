"""What runs that were stopped have kept: whether it is theirs, and what their training goes on from."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlplab.config import TrainConfig
from mlplab.data.cache import DataCache
from mlplab.errors import UserError
from mlplab.runs.folder import RunFolder
from mlplab.runs.resume import differences
from mlplab.training import checkpoint
from mlplab.training.state import StackState

REMEDY = "restore it, or start anew"
"""Where a table or a split has changed."""

log = logging.getLogger(__name__)


def check_same_rows(folder: Path, run: TrainConfig, cache: DataCache) -> bool:
    """Checks that a run was trained on the table and the split that its configuration names now; False if
    nothing tells.

    Raises:
        UserError: if not.
    """
    path = RunFolder(folder).best
    if path.exists():
        cache.check_unchanged(run, checkpoint.load(path).get("table"), REMEDY)
    return path.exists()


def kept_of_run(folder: Path, run: TrainConfig, cache: DataCache) -> StackState | None:
    """What a run goes on from; None if it must begin again.

    Raises:
        UserError: if its checkpoint is damaged and there is none before it, or it is another run's, or the
            table or the split has changed.
    """
    path = RunFolder(folder).last
    content = checkpoint.load_newest(path)
    if content and content.get("training") is None:
        # It was killed between its last checkpoint and its test's scores.
        older = checkpoint.previous(path)
        content = checkpoint.load(older) if older.exists() else None
    if content is None or content.get("training") is None:  # or killed there twice
        return None
    before = _part(path, content, "config")
    if faults := differences(run, before, str(path)):
        raise UserError(*faults)
    cache.check_unchanged(run, content.get("table"), REMEDY)
    return _state(path, content)


def kept_of_stack(path: Path, runs: Mapping[str, TrainConfig], cache: DataCache) -> dict[str, StackState]:
    """What each of a sweep's runs goes on from that were in training together, by their names in the sweep.

    Args:
        path: of the stack's file; one that is damaged is told of, and gives nothing.
        runs: those of interest, by their names.

    Raises:
        UserError: if a table or a split has changed.
    """
    try:
        content = checkpoint.load_newest(path)
        if content is None:
            return {}
        state, names = _state(path, content), content.get("runs", [])
    except UserError as error:
        log.warning("%s; its runs go on from what they have kept", error.faults[0].sentence())
        return {}
    for name, before in zip(names, content.get("tables", []), strict=True):
        if name in runs:
            cache.check_unchanged(runs[name], before, REMEDY)
    return {name: state.select([member]) for member, name in enumerate(names) if name in runs}


def _state(path: Path, content: Mapping[str, Any]) -> StackState:
    training = _part(path, content, "training")
    try:
        return StackState.from_plain(training)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise checkpoint.damaged(path, "it holds no state of training") from error


def _part(path: Path, content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = content.get(name)
    if not isinstance(part, Mapping):
        raise checkpoint.damaged(path, f"it lacks a part ({name})")
    return part
