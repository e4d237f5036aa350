"""Tables of a page: the columns of the data, and what other commands have left."""

import re
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from mlplab.commands.importance import Importance
from mlplab.commands.render import NOTHING
from mlplab.commands.report.charts import figures_of
from mlplab.console import in_digits, plural
from mlplab.data.schema import Schema, column_rows
from mlplab.errors import UserError, listed
from mlplab.figures import IMPORTANCE
from mlplab.files import Plain
from mlplab.runs.compare.run_result import RunResult
from mlplab.runs.trained.chosen_ensemble import ENSEMBLE_FILE, ChosenEnsemble

MOST_NAMES = 5
"""Runs that are named at most."""

NUMBER = re.compile(rf"[-+.,\de]*( ± [-+.,\de]*)?|{NOTHING}")
"""A cell that aligns with numbers."""


class TextTable(NamedTuple):
    """A table whose first column names its rows; `marked` are the numbers of the rows that stand out."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    marked: Collection[int] = ()

    @property
    def text(self) -> list[int]:
        """The numbers of the columns with text; all others are aligned as numbers."""
        columns = enumerate(zip(*self.rows, strict=True))
        return [number for number, cells in columns if not all(map(NUMBER.fullmatch, cells))]


def columns_table(schema: Schema) -> TextTable:
    """A row for each column: its role, its kind, and what its cells are, or why it is left out."""
    rows, left_out = list(column_rows(schema)), len(schema.left_out)
    caption = plural(len(rows), "column") + f", {left_out} of them left out" * (left_out > 0)
    return TextTable(caption, ("column", "role", "kind", "note"), rows)


class ImportancePart(NamedTuple):
    """The importance of columns: of which rows, as a table, and as charts."""

    basis: str
    table: TextTable
    figures: Sequence[Plain]


def importance_in(folder: Path, runs: Collection[str] | None = None) -> ImportancePart | None:
    """The importance of the columns in the folder of a run or a sweep.

    None if there is none, if its file is damaged, or if it is of none of these runs of a sweep.
    """
    importance = Importance.read(folder)
    if not importance or (runs is not None and set(runs).isdisjoint(importance.runs)):
        return None
    rows = [(column.name, in_digits(column.mean), in_digits(column.sd, 2)) for column in importance.columns]
    increase = f"Increase of {importance.metric} ({in_digits(importance.error)}) when a column is shuffled"
    chosen = f"{plural(len(importance.runs), 'run')} ({listed(importance.runs, MOST_NAMES)})"
    table = TextTable(f"{increase}: mean and SD", ("column", "increase", "SD"), rows)
    basis = "; ".join([f"Of {chosen}", *importance.basis]) + "."
    return ImportancePart(basis, table, figures_of(folder).get(IMPORTANCE, []))


def ensembles_of(runs: Sequence[RunResult]) -> dict[str, ChosenEnsemble]:
    """The ensembles that were chosen among some runs, by name; damaged files are left out."""
    folders, ensembles = {run.folder for run in runs}, {}
    for sweep in sorted({folder.parent for folder in folders}):
        for path in sorted(path for path in sweep.iterdir() if ENSEMBLE_FILE.fullmatch(path.name)):
            with suppress(UserError):
                ensemble = ChosenEnsemble.read(path)
                if {sweep / name for name in ensemble.runs} <= folders:
                    ensembles[path.stem] = ensemble
    return ensembles
