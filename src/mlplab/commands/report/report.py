"""The command report: one page about a run, a sweep, or a folder of them."""

import json
import logging
from pathlib import Path
from typing import Any

from mlplab.commands.render import format_score
from mlplab.commands.report.comparison import Comparison, compared
from mlplab.commands.report.grid import Grid
from mlplab.commands.report.page import page
from mlplab.commands.report.run_part import RunPart, run_part
from mlplab.commands.report.runs_part import RunsPart, runs_part
from mlplab.errors import Fault, UserError, listed
from mlplab.files import replacing
from mlplab.runs.discovery import ENSEMBLE_FILE, is_compatible, is_ensemble, runs_below
from mlplab.runs.selection import RunResult, read_run

REPORT = "report.html"

log = logging.getLogger(__name__)


def report(folder: Path) -> Path:
    """Writes a page about the runs in a folder, and returns its path: `folder/report.html`.

    Runs of a different version and runs with damaged files are left out, with a warning.

    Raises:
        UserError: if there is no such folder, or no run in it that can be read.
    """
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "no such folder"
        raise UserError(Fault(what, str(folder), remedy="give the folder of a run or a sweep, or outputs/"))
    runs, notes = _read(folder)
    for note in notes:
        log.warning("%s", note)
    parts = [_part(each) for each in compared(folder, runs)]
    html = page(folder.resolve().name, parts, notes, _ensemble(folder))
    path = folder / REPORT
    with replacing(path, synced=False) as partial:
        partial.write_text(html, encoding="utf-8")
    return path


def _part(comparison: Comparison) -> RunPart | RunsPart:
    if len(comparison.runs) > 1:
        return runs_part(comparison)
    (run,) = comparison.runs
    return run_part(comparison, run)


def _read(folder: Path) -> tuple[list[RunResult], list[str]]:
    """The runs in a folder, and sentences about those that were left out."""
    found = list(runs_below(folder))
    if not found:
        expected = "folders with config.yaml and metrics.json in them"
        raise UserError(Fault("contains no run", str(folder), expected=expected))
    runs, other, faults = [], [], []
    for run in found:
        try:
            if is_compatible(run):
                runs.append(read_run(run))
            else:
                other.append(run)
        except UserError as error:
            faults += error.faults
    if not runs and not faults:
        read_run(other[0])  # raises: it is of a different version
    if not runs:
        raise UserError(*faults)
    notes = [f"Left out, as it cannot be read: {fault.sentence()}." for fault in faults]
    if other:
        notes.append(f"Left out runs of a different version of mlplab: {listed(map(str, other), 3)}.")
    return runs, notes


def _ensemble(folder: Path) -> list[Grid]:
    """The weights of a chosen ensemble and its scores; empty if the folder is something else."""
    if not is_ensemble(folder):
        return []
    try:
        content: dict[str, Any] = json.loads((folder / ENSEMBLE_FILE).read_bytes())
        weights = [(str(name), f"{float(weight):.4g}") for name, weight in content.pop("runs").items()]
        scores = [(name, format_score(float(value), name)) for name, value in content.items()]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []
    return [
        Grid("Scores of the ensemble", ("metric", "score"), scores),
        Grid("The runs in it", ("run", "weight"), weights),
    ]
