"""What runs that were stopped have kept: whether it is theirs, and what their training goes on from."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlplab.config import TrainConfig
from mlplab.errors import Fault, UserError
from mlplab.keys import flat
from mlplab.runs.find import read_config, read_metrics
from mlplab.runs.folder import RunFolder
from mlplab.runs.inputs import Inputs
from mlplab.training import checkpoint
from mlplab.training.state import StackState

ENDED = ("done", "diverged")
"""Statuses of runs that would come to the same end again."""

MAY_GROW = "trainer.max_epochs"


def kept_of_run(folder: Path, run: TrainConfig, inputs: Inputs) -> tuple[StackState | None, bool]:
    """What a run goes on from, None if it must begin again; and whether there is nothing left to do.

    Raises:
        UserError: if its checkpoint is damaged and there is none before it, or it is another run's, or the
            table has changed.
    """
    path, ended = RunFolder(folder).last, read_metrics(folder)["status"] in ENDED
    if ended and not differences(run.plain(), read_config(folder), str(folder), may_grow=False):
        return None, True
    content = checkpoint.load_newest(path)
    if content is None:
        return None, False
    try:
        before, table, training = content["config"], content["table"], content.get("training")
    except KeyError as error:
        raise UserError(Fault(f"is damaged: it lacks a part ({error})", str(path))) from error
    if faults := differences(run.plain(), before, str(path)):
        raise UserError(*faults)
    if inputs.fingerprint(run.data) != table:
        raise UserError(
            Fault("has changed since the training began", inputs.table(run.data).source, remedy="start anew")
        )
    if training is None:
        raise UserError(Fault("holds nothing that training could go on from", str(path), remedy="start anew"))
    return StackState.from_plain(training), False


def kept_of_stack(path: Path, runs: Sequence[str]) -> StackState | None:
    """What a sweep's runs of these names go on from together; None if they must begin again."""
    try:
        content = checkpoint.load_newest(path)
    except UserError:
        return None
    if content is None or not set(runs) <= set(content["runs"]):
        return None
    return StackState.from_plain(content["training"]).select([content["runs"].index(run) for run in runs])


def differences(
    new: Mapping[str, Any], old: Mapping[str, Any], where: str, *, may_grow: bool = True
) -> list[Fault]:
    """The keys in which configurations differ that must not: all but the name, and a longer training where
    the schedule does not depend on its length."""
    here, there = dict(flat(new)), dict(flat(old))
    return [
        Fault(
            "differs from the run that is to go on",
            key,
            repr(here.get(key)),
            f"{there.get(key)!r} as in {where}",
        )
        for key in sorted(here.keys() | there.keys())
        if key != "name" and here.get(key) != there.get(key) and not (may_grow and _grows(key, here, there))
    ]


def _grows(key: str, new: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
    return key == MAY_GROW and new["scheduler.name"] != "cosine" and new[key] > old.get(key, 0)
