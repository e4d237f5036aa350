"""The folder of a sweep, and its files. Imports no torch."""

import json
from pathlib import Path
from typing import Any

from mlplab.errors import Fault, UserError
from mlplab.files import LOCK, PART, replacing
from mlplab.runs.discovery import DEPTH, runs_below
from mlplab.runs.resume import is_incomplete
from mlplab.runs.trained.chosen_ensemble import is_written_later

PLAN_FILE = "plan.json"
"""The runs of each stack."""

STUDY_FILE = "study.journal"
"""Optuna's journal of a search."""

SEARCH_FILE = "search.json"
"""How many trials a search was asked for, for those who watch it."""

SLURM = "slurm"
"""Folder with the files of Slurm jobs."""

STACKS = "stacks"
"""Folder with the training states of unfinished stacks."""


def check_sweep_folder(root: Path) -> None:
    """Checks that a folder is new, empty, or a sweep's.

    Raises:
        UserError: otherwise.
    """
    entries = list(root.iterdir()) if root.is_dir() else []
    if links := [entry for entry in entries if entry.is_symlink()]:
        what = "is a symbolic link, which sweeps never create"
        raise UserError(Fault(what, str(links[0]), remedy="remove it"))
    names = {entry.name for entry in entries if not entry.name.endswith(PART)}
    is_sweep = names & {PLAN_FILE, STUDY_FILE} or all(
        name in (STACKS, SLURM, LOCK) or is_written_later(name) or _is_of_a_run(root / name) for name in names
    )
    if root.is_file() or not is_sweep:
        remedy = "choose a different folder: name=…"
        raise UserError(Fault("exists and is not empty", str(root), remedy=remedy))


def check_kind(root: Path, *, searches: bool) -> None:
    """Checks that a new search is in a folder without runs, and a grid in one without a search.

    Raises:
        UserError: otherwise.
    """
    has_study, remedy = (root / STUDY_FILE).is_file(), "choose a different folder: name=…"
    if has_study and not searches:
        raise UserError(Fault("is the folder of a search", str(root), remedy=remedy))
    if searches and not has_study and any(runs_below(root, DEPTH - 1)):
        raise UserError(Fault("contains runs that are not of a search", str(root), remedy=remedy))


def _is_of_a_run(folder: Path) -> bool:
    """Whether a folder is a run's, perhaps one that was killed while creating it, or has runs below it."""
    return folder.is_dir() and (is_incomplete(folder) or any(runs_below(folder, DEPTH - 1)))


def read_stacks(path: Path) -> list[list[Path]]:
    """The folders of each stack's runs in a saved plan; empty if there is none."""
    stacks = _read(path, "stacks")
    try:
        return [[path.parent / str(name) for name in stack] for stack in stacks if stack]
    except TypeError:
        return []


def write_total(root: Path, trials: int | None) -> None:
    """Writes how many trials a search was asked for; None: as many as there is time for."""
    with replacing(root / SEARCH_FILE) as partial:
        partial.write_text(json.dumps({"trials": trials}) + "\n", encoding="utf-8")


def read_total(root: Path) -> int | None:
    """How many trials a search was asked for, if that is known."""
    trials = _read(root / SEARCH_FILE, "trials")
    return trials if isinstance(trials, int) else None


def _read(path: Path, key: str) -> Any:
    """A value in a JSON file; None if it is not there, or the file is damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))[key]
    except (OSError, ValueError, KeyError, TypeError):
        return None
