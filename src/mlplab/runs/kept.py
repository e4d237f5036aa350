"""What runs that were stopped have kept: whether it is theirs, and what their training goes on from."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlplab.config import TrainConfig
from mlplab.errors import Fault, UserError
from mlplab.runs.begun import differences
from mlplab.runs.folder import RunFolder
from mlplab.runs.inputs import STORED, Inputs
from mlplab.training import checkpoint
from mlplab.training.state import StackState

log = logging.getLogger(__name__)


def check_same_table(folder: Path, run: TrainConfig, inputs: Inputs) -> bool:
    """Checks that a run was trained on the table that its configuration names now; False if nothing tells.

    Raises:
        UserError: if not.
    """
    path = RunFolder(folder).best
    if path.exists():
        _check_table(checkpoint.load(path).get("table"), run, inputs)
    return path.exists()


def kept_of_run(folder: Path, run: TrainConfig, inputs: Inputs) -> StackState | None:
    """What a run goes on from; None if it must begin again.

    Raises:
        UserError: if its checkpoint is damaged and there is none before it, or it is another run's, or the
            table has changed.
    """
    path = RunFolder(folder).last
    content = checkpoint.load_newest(path)
    if content and content.get("training") is None:
        # It was killed between its last checkpoint and its test's scores.
        older = checkpoint.before(path)
        content = checkpoint.load(older) if older.exists() else None
    if content is None:
        return None
    before = _part(path, content, "config")
    if faults := differences(run, before, str(path)):
        raise UserError(*faults)
    _check_table(content.get("table"), run, inputs)
    return _state(path, content)


def kept_of_stack(path: Path, run: TrainConfig, inputs: Inputs) -> dict[str, StackState]:
    """What each of a sweep's runs goes on from that were in training together, by their names in the sweep.

    Args:
        path: of the stack's file; one that is damaged is told of, and gives nothing.
        run: one of them.

    Raises:
        UserError: if the table has changed.
    """
    try:
        content = checkpoint.load_newest(path)
        if content is None:
            return {}
        state, names = _state(path, content), content.get("runs", [])
    except UserError as error:
        log.warning("%s; its runs go on from what they have kept", error.faults[0].sentence())
        return {}
    _check_table(content.get("table"), run, inputs)
    return {name: state.select([member]) for member, name in enumerate(names)}


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


def _check_table(before: object, run: TrainConfig, inputs: Inputs) -> None:
    table = inputs.table(run)
    if before == {**inputs.fingerprint(run), STORED: not table.stored}:
        was, now = ("memory", "a file") if table.stored else ("a file", "memory")
        what = f"was trained from {was}, and would now be from {now}, which is another order of rows"
        remedy = "give it the room it had: data.memory=… (GiB), more for memory, less for a file"
        raise UserError(Fault(what, table.source, remedy=remedy))
    if inputs.fingerprint(run) != before:
        raise UserError(Fault("has changed since the training began", table.source, remedy="start anew"))
