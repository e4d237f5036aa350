"""What a page shows: a part for each table, and what was left out."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mlplab.commands.report.comparison import Comparison, compared
from mlplab.commands.report.parts.ensemble import read_ensemble
from mlplab.commands.report.parts.run import RunPart, run_part
from mlplab.commands.report.parts.runs import RunsPart, runs_part
from mlplab.commands.report.parts.text_table import TextTable
from mlplab.errors import Fault, UserError, listed
from mlplab.runs.discovery import is_compatible
from mlplab.runs.selection import RunResult, read_run

MOST_FAULTS = 5
"""Runs that cannot be read and are named."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Content:
    """The content of a page.

    Attributes:
        parts: a part for each table and target.
        notes: sentences about what was left out.
        ensemble: the tables of a chosen ensemble.
    """

    title: str
    parts: Sequence[RunPart | RunsPart]
    notes: Sequence[str]
    ensemble: Sequence[TextTable]


def content(folder: Path, found: Sequence[Path]) -> Content:
    """Reads the runs that were found in a folder.

    Raises:
        UserError: if none of them can be read.
    """
    runs, notes = _read(found)
    for note in notes:
        log.warning("%s", note)
    parts = [_part(each) for each in compared(folder, runs)]
    ensemble = read_ensemble(folder)
    return Content(folder.resolve().name, parts, notes, ensemble.tables if ensemble else [])


def _part(comparison: Comparison) -> RunPart | RunsPart:
    if len(comparison.runs) > 1:
        return runs_part(comparison)
    return run_part(comparison, comparison.runs[0])


def _read(found: Sequence[Path]) -> tuple[list[RunResult], list[str]]:
    """The runs, and sentences about those that were left out."""
    runs: list[RunResult] = []
    other: list[Path] = []
    faults: list[Fault] = []
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
    notes = [f"left out, because it cannot be read: {fault.sentence()}" for fault in faults[:MOST_FAULTS]]
    if more := len(faults) - len(notes):
        notes.append(f"left out {more:,} more runs that cannot be read")
    if other:
        notes.append(f"left out runs of a different version of mlplab: {listed(map(str, other), 3)}")
    return runs, notes
