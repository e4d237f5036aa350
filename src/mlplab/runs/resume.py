"""Runs and sweeps that have begun: whose their folders are, and what of them may change. No torch."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlplab.config import TrainConfig, parse
from mlplab.config.keys import differing, flat
from mlplab.errors import Fault, UserError
from mlplab.files import PART
from mlplab.runs.discovery import read_config, read_metrics, runs_below
from mlplab.runs.lock import LOCK

PLAN_FILE = "plan.json"
"""In a sweep's folder: the runs of each stack."""

STACKS = "stacks"
"""In a sweep's folder: what its stacks go on from."""

MULTIRUN_FILE = "multirun.yaml"
"""What Hydra's own sweeper leaves in a sweep's folder."""

DEPTH = 3
"""Folders within folders in which a sweep's runs may lie: one may be named `a/b`."""

ENDED = ("done", "diverged")
"""Statuses of runs that would come to the same end again."""

MAY_GROW = "trainer.max_epochs"

MAY_DIFFER = "data.memory_gib"
"""What the machine has is not the run's."""


def name_in_sweep(folder: Path, stack_file: Path) -> str:
    """A run's name in the sweep whose stack keeps its state in that file."""
    return os.path.relpath(folder, stack_file.parents[1])


def has_begun(folder: Path) -> bool:
    """Whether a run has left anything in its folder."""
    return folder.is_dir() and any(folder.iterdir())


def has_ended(folder: Path, run: TrainConfig) -> bool:
    """Whether a run that has begun in a folder would come to the same end again, be it given more epochs."""
    metrics = read_metrics(folder)
    if metrics["status"] not in ENDED:
        return False
    before = read_config(folder)
    epochs = before.get("trainer", {}).get("max_epochs")
    early = metrics["status"] == "diverged" or metrics.get("epochs", epochs) < epochs
    return not differences(run, before, str(folder), may_grow=early)


def is_sweep(root: Path) -> bool:
    """Whether a folder is a sweep's: it has what a sweep writes, or holds nothing but runs."""
    if any((root / name).is_file() for name in (PLAN_FILE, MULTIRUN_FILE)):
        return True
    return all(
        entry.name in (STACKS, LOCK)
        or entry.name.endswith(PART)
        or (
            entry.is_dir()
            and (not any(entry.iterdir()) or any(runs_below(entry, DEPTH - 1)) or _is_new(entry))
        )
        for entry in root.iterdir()
    )


def _is_new(folder: Path) -> bool:
    """Whether a folder is that of a run which was killed as it was made."""
    names = {path.name for path in folder.iterdir() if not path.name.endswith(PART)}
    return names <= {LOCK, "metrics.json", "checkpoints"}


def read_run_config(folder: Path) -> TrainConfig:
    """The configuration of a run that is to go on.

    Raises:
        UserError: if it is no run's folder, damaged, or of another version.
    """
    values = read_config(folder)
    try:
        return parse(values)
    except UserError as error:
        (fault, *_) = error.faults
        what = f"is no configuration of this version: {fault.sentence()}"
        raise UserError(Fault(what, str(folder / "config.yaml"), remedy=fault.remedy)) from error


def check_same(run: TrainConfig, folder: Path) -> None:
    """Checks that a folder in which something has begun is this run's.

    Raises:
        UserError: telling the keys in which the configuration there differs, or that it is no run's.
    """
    if not (folder / "config.yaml").exists():
        if has_begun(folder) and not _is_new(folder):
            raise UserError(Fault("exists and is not empty", str(folder), remedy="give another: name=…"))
    elif faults := differences(run, read_config(folder), str(folder)):
        raise UserError(*faults)


def differences(
    run: TrainConfig, before: Mapping[str, Any], where: str, *, may_grow: bool = True
) -> list[Fault]:
    """The keys in which configurations differ that must not: all but the name, and a longer training where
    the schedule does not depend on its length."""
    new = run.plain()
    here, there = dict(flat(new)), dict(flat(before))
    return [
        Fault(
            "differs from the run that is to go on",
            key,
            repr(here.get(key)),
            f"{there.get(key)!r} as in {where}",
            "a run may only grow longer, and not where its schedule hangs on its length (cosine)"
            if key == MAY_GROW
            else "leave it as it was, or start anew (init_from=FOLDER from its weights)",
        )
        for key in differing(new, before)
        if key != MAY_DIFFER and not (may_grow and key == MAY_GROW and _grows(run, there.get(key)))
    ]


def _grows(run: TrainConfig, before: Any) -> bool:
    return run.scheduler.name != "cosine" and isinstance(before, int) and run.trainer.max_epochs > before
