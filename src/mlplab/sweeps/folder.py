"""The folder of a sweep, and the names of the run folders in it. Imports no torch."""

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path

from mlplab.errors import Fault, UserError
from mlplab.files import LOCK, PART, replacing
from mlplab.runs.discovery import DEPTH, is_ensemble, runs_below
from mlplab.runs.resume import is_incomplete
from mlplab.runs.trained.chosen_ensemble import WRITTEN_LATER

PLAN_FILE = "plan.json"
"""The runs of each stack."""

STUDY_FILE = "study.journal"
"""Optuna's journal of a search."""

SEARCH_FILE = "search.json"
"""How many trials a search was asked for, for those who watch it."""

SLURM = "slurm"
"""Folder with the files of Slurm jobs."""

SLURM_JOBS = f"{SLURM}/jobs.json"
"""The jobs that have not ended."""

STACKS = "stacks"
"""Folder with the training states of unfinished stacks."""

LONGEST_NAME = 120
"""The largest number of bytes of a run folder's name; longer names are cut."""

MULTIRUN_FILE = "multirun.yaml"
"""Written by Hydra's own sweeper."""


def check_sweep_folder(root: Path) -> None:
    """Checks that a folder is new, empty, or a sweep's.

    Raises:
        UserError: otherwise.
    """
    entries = list(root.iterdir()) if root.is_dir() else []
    if links := [entry for entry in entries if entry.is_symlink()]:
        what = "is a symbolic link, which sweeps never create"
        raise UserError(Fault(what, str(links[0]), remedy="remove it"))
    if root.is_file() or (entries and not _is_sweep(root)):
        raise UserError(
            Fault("exists and is not empty", str(root), remedy="choose a different folder: name=…")
        )


def check_not_grid(root: Path) -> None:
    """Checks that a new search is in a folder without runs.

    Raises:
        UserError: otherwise.
    """
    if not (root / STUDY_FILE).is_file() and any(runs_below(root, DEPTH - 1)):
        what, remedy = "contains runs that are not of a search", "choose a different folder: name=…"
        raise UserError(Fault(what, str(root), remedy=remedy))


def check_not_search(root: Path) -> None:
    """Checks that the runs of a grid are in a folder without a search.

    Raises:
        UserError: otherwise.
    """
    if (root / STUDY_FILE).is_file():
        remedy = "choose a different folder: name=…; or type the search's command again"
        raise UserError(Fault("is the folder of a search", str(root), remedy=remedy))


def _is_sweep(root: Path) -> bool:
    """Whether a folder contains a file of a sweep, or only runs."""
    if any((root / name).is_file() for name in (PLAN_FILE, MULTIRUN_FILE, STUDY_FILE)):
        return True
    return all(
        entry.name in (STACKS, SLURM, LOCK, *WRITTEN_LATER)
        or is_ensemble(entry)
        or entry.name.endswith(PART)
        or (
            entry.is_dir()
            and (not any(entry.iterdir()) or any(runs_below(entry, DEPTH - 1)) or is_incomplete(entry))
        )
        for entry in root.iterdir()
    )


def folder_name(overrides: Sequence[str], varying: set[str]) -> str:
    """The name of a run's folder, made of the keys that vary: `lr=0.001,seed=3`."""
    parts = []
    for override in sorted(overrides):
        key, _, value = override.partition("=")
        if key in varying:
            parts.append(f"{key.rpartition('.')[2].lstrip('+~')}={value}")
    text = ",".join(parts) or "run"
    name = re.sub(r"[^\w.,=+\-\[\]]", "_", text)
    if name != text or len(name.encode()) > LONGEST_NAME:  # distinct texts must get distinct names
        cut = name.encode()[:LONGEST_NAME].decode(errors="ignore")
        name = f"{cut}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    return name


def read_stacks(path: Path) -> list[list[Path]]:
    """The folders of each stack's runs in a saved plan; empty if there is none."""
    try:
        stacks = json.loads(path.read_text(encoding="utf-8"))["stacks"]
        return [[path.parent / str(name) for name in stack] for stack in stacks if stack]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def write_total(root: Path, trials: int | None) -> None:
    """Writes how many trials a search was asked for; None: as many as there is time for."""
    with replacing(root / SEARCH_FILE) as partial:
        partial.write_text(json.dumps({"trials": trials}) + "\n", encoding="utf-8")


def read_total(root: Path) -> int | None:
    """How many trials a search was asked for, if that is known."""
    try:
        trials = json.loads((root / SEARCH_FILE).read_text(encoding="utf-8"))["trials"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return trials if isinstance(trials, int) else None
