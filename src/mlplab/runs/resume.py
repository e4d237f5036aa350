"""Whether a folder contains a started run, and what of its configuration may change. Imports no torch."""

from collections.abc import Mapping
from pathlib import Path

from mlplab.config import Mark, TrainConfig, is_marked, parse
from mlplab.config.dotted_keys import differing, flat
from mlplab.errors import Fault, UserError, refusal
from mlplab.files import LOCK, PART
from mlplab.runs.discovery import read_config, read_metrics, read_version
from mlplab.runs.versions import check_resumable

FINAL = ("done", "diverged", "pruned")
"""Statuses of runs that would end in the same way again."""

MAY_GROW = "trainer.max_epochs"

OTHER_FOLDER = "choose a different folder: name=… or, in Python, folder=…"
"""The remedy for a folder that is in use."""


def was_started(folder: Path) -> bool:
    """Whether a run has left anything in a folder."""
    return folder.is_dir() and any(folder.iterdir())


def is_incomplete(folder: Path) -> bool:
    """Whether a folder belongs to a run that was killed while creating it."""
    names = {path.name for path in folder.iterdir() if not path.name.endswith(PART)}
    return names <= {LOCK, "metrics.json", "checkpoints"}


def has_ended(folder: Path, run: TrainConfig, *, alone: bool = False) -> bool:
    """Whether a started run has ended for good: with the epochs of `run`, it would end in the same way.

    Args:
        alone: whether no search resumes it. Then it goes on if the time of its search was over.
    """
    metrics = read_metrics(folder)
    if metrics["status"] not in FINAL or (alone and metrics["status"] == "done" and "reason" in metrics):
        return False
    saved = read_config(folder)
    epochs = saved.get("trainer", {}).get("max_epochs")
    stopped_early = metrics["status"] != "done" or metrics.get("epochs", epochs) < epochs
    return not differences(run, saved, str(folder), may_grow=stopped_early)


def read_run_config(folder: Path) -> TrainConfig:
    """The configuration of a run that is to be resumed.

    Raises:
        UserError: if the folder is not a run's, or its configuration is damaged or of a different version.
    """
    check_resumable(read_version(folder), str(folder))
    values = read_config(folder)
    try:
        return parse(values)
    except UserError as error:
        (fault, *_) = error.faults
        what = f"is not valid in this version of mlplab: {fault.sentence()}"
        raise refusal(what, folder / "config.yaml", fault.remedy) from error


def check_same_config(run: TrainConfig, folder: Path) -> None:
    """Checks that a folder is empty, or belongs to this run.

    Raises:
        UserError: if the folder belongs to a run with a different configuration, or is not a run's.
    """
    if not (folder / "config.yaml").exists():
        if was_started(folder) and not is_incomplete(folder):
            raise refusal("exists and is not empty", folder, OTHER_FOLDER)
    else:
        check_resumable(read_version(folder), str(folder))
        if faults := differences(run, read_config(folder), str(folder)):
            raise UserError(*faults)


def differences(
    run: TrainConfig, saved: Mapping[str, object], where: str, *, may_grow: bool = True
) -> list[Fault]:
    """The keys in which a resumed run differs from its saved configuration, but must not differ.

    `name`, `test` and `data.memory_gib` may differ; `trainer.max_epochs` may be increased if the schedule
    does not depend on it.
    """
    new, faults = run.plain(), []
    here, there = dict(flat(new)), dict(flat(saved))
    before, now = there.get(MAY_GROW), run.trainer.max_epochs
    may_grow &= run.scheduler.name != "cosine" and isinstance(before, int) and now != "auto" and now > before
    for key in differing(new, saved):
        if is_marked(key, Mark.MAY_CHANGE) or (key == MAY_GROW and may_grow):
            continue
        remedy = "remove it, or start a new run from that run's weights: init_from=FOLDER"
        if key == MAY_GROW:
            remedy = "it may only be increased; with scheduler=cosine, which depends on it, start a new run "
            remedy += f"from these weights: init_from={where}"
        what, expected = "differs from the resumed run", f"{there.get(key)!r} as in {where}"
        faults.append(Fault(what, key, repr(here.get(key)), expected, remedy))
    return faults
