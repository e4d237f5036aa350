"""The checkpoints of runs and stacks, and the training states from which runs resume."""

import logging
import os
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlplab.config import ResolvedConfig
from mlplab.data.cache import DataCache, RunData
from mlplab.errors import UserError
from mlplab.runs.folder import Metrics, RunFolder
from mlplab.runs.resume import differences
from mlplab.runs.run import Run
from mlplab.runs.trained.trained_run import seen_entry, tensors
from mlplab.runs import checkpoint
from mlplab.training.callbacks.stack_callback import Tensors
from mlplab.training.state import StackState

REMEDY = "restore it, or start a new run"
"""Remedy for a table or a split that has changed."""

log = logging.getLogger(__name__)


def resume_groups(runs: Sequence[Run], stack_file: Path | None) -> list[tuple[list[Run], StackState | None]]:
    """Runs at the same step, which can train together, and their training state; None: from the beginning.

    A run resumes from the later of the states that it and its stack have saved.

    Raises:
        UserError: if a state cannot be used, or if a table or a split has changed.
    """
    shared = _stack_states(stack_file, runs) if stack_file else {}
    groups: dict[Hashable, list[tuple[Run, StackState | None]]] = {}
    for run in runs:
        state = None
        if run.resume:
            states = shared.get(run.folder), saved_state(run.folder, run.config, run.data)
            state = max((saved for saved in states if saved), key=lambda saved: saved.step, default=None)
        groups.setdefault(state.join_key if state else None, []).append((run, state))
    return [
        ([run for run, _ in group], StackState.join([state for _, state in group if state]) if key else None)
        for key, group in groups.items()
    ]


def state_error(run: Run, cache: DataCache) -> UserError | None:
    """Why a run cannot resume from its own training state; None if it can."""
    try:
        saved_state(run.folder, run.config, cache.data(run.config))
    except UserError as error:
        return error
    return None


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


def save_run(
    path: Path,
    run: Run,
    network: Tensors,
    members: Sequence[int],
    metrics: Metrics,
    state: StackState | None = None,
) -> None:
    """Writes the checkpoint of a run: `best.ckpt`, which also says which rows were seen, or `last.ckpt`.

    Args:
        network: the network's tensors, for all members of the stack.
        members: the members of the run that the checkpoint contains.
        state: the run's training state, if training can resume from the checkpoint.
    """
    is_best, schema, ensemble = path == run.files.best, run.data.table.schema, run.config.ensemble
    weights = zip(members, run.weights(len(members)), strict=True)
    content = {
        "epoch": metrics["best_epoch" if is_best else "epochs"],
        "metrics": metrics,
        "config": run.config.plain(),
        "schema": schema.plain(),
        "table": dict(run.data.fingerprint),
        "member_weights": {member % ensemble: weight for member, weight in weights},
        "state": {name: tensor.detach()[members].cpu() for name, tensor in network.items()},
    }
    if state:
        content["training"] = state.plain()
    if is_best:
        content |= seen_entry(None if run.inherited is None else [run.data.seen, *run.inherited])
        content["residuals"] = [tensors(of_target.arrays()) for of_target in run.residuals]
    checkpoint.save(path, content)


def save_stack_state(path: Path, runs: Sequence[Run], state: StackState) -> None:
    """Saves the training state of the runs of a stack, in the order of the state's members.

    The file is in a subfolder of the sweep's folder. It names runs by the paths of their folders in the
    sweep's folder.
    """
    names, tables = [_name(path, run) for run in runs], [dict(run.data.fingerprint) for run in runs]
    checkpoint.save(path, {"runs": names, "tables": tables, "training": state.plain()})


def _stack_states(path: Path, runs: Sequence[Run]) -> dict[Path, StackState]:
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
            run.data.check_unchanged(table, REMEDY)
            states[run.folder] = state.select(range(place * ensemble, (place + 1) * ensemble))
    return states


def _name(path: Path, run: Run) -> str:
    """The name of a run in the file of its stack."""
    return os.path.relpath(run.folder, path.parents[1])


def _state(path: Path, content: Mapping[str, Any]) -> StackState:
    try:
        return StackState.from_plain(content["training"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise checkpoint.damaged(path, "it contains no training state") from error


def check_same_rows(folder: Path, data: RunData) -> bool:
    """Checks that a run was trained on this table and split; False if there is nothing to check.

    Raises:
        UserError: if they have changed.
    """
    path = RunFolder(folder).best
    if path.exists():
        data.check_unchanged(checkpoint.load(path).get("table"), REMEDY)
    return path.exists()
