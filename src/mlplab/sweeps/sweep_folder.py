"""The folder of a sweep: the names of its files, and whether a folder is a sweep's or free for one."""

from pathlib import Path

from mlplab.errors import refusal
from mlplab.files import LOCK, PART, read_json
from mlplab.runs.discovery import DEPTH, is_written_later, runs_below
from mlplab.runs.planned_run import OTHER_FOLDER, is_incomplete

PLAN_FILE = "plan.json"  # the runs of each stack

STUDY_FILE = "study.journal"  # Optuna's journal of a search

SLURM = "slurm"  # folder with the files of Slurm jobs

STACKS = "stacks"  # folder with the stacks that workers train


def _is_run(folder: Path) -> bool:
    return folder.is_dir() and (is_incomplete(folder) or any(runs_below(folder, DEPTH - 1)))


def check_sweep_folder(root: Path, *, searches: bool) -> None:
    """Checks that a folder is new, empty, or a sweep's: of a search if it searches, else of a grid.

    Raises:
        UserError: otherwise.
    """
    entries = list(root.iterdir()) if root.is_dir() else []
    if links := [entry for entry in entries if entry.is_symlink()]:
        raise refusal("is a symbolic link, which sweeps never create", links[0], "remove it")
    names = {entry.name for entry in entries if not entry.name.endswith(PART)}
    known = {STACKS, SLURM, LOCK, *filter(is_written_later, names)}
    others = [root / name for name in names - known]  # runs, perhaps killed at their start
    what, has_study = "", STUDY_FILE in names
    if root.is_file() or not (names & {PLAN_FILE, STUDY_FILE} or all(map(_is_run, others))):
        what = "exists and is not empty"
    elif has_study and not searches:
        what = "is the folder of a search"
    elif searches and not has_study and names and any(runs_below(root, DEPTH - 1)):
        what = "contains runs that are not of a search"
    if what:
        raise refusal(what, root, OTHER_FOLDER)


def read_stacks(root: Path) -> list[list[Path]]:
    """The folders of each stack's runs in a sweep's saved plan; empty if there is none."""
    try:
        stacks = read_json(root / PLAN_FILE)["stacks"]
        return [[root / str(name) for name in stack] for stack in stacks if stack]
    except (KeyError, TypeError):
        return []
