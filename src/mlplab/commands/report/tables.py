"""Tables of a page: the columns of the data, the worst rows, and what other commands have left."""

from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from mlplab.commands.importance import Importance
from mlplab.commands.report.charts import figures_of
from mlplab.console import plural
from mlplab.data.class_labels import label_values
from mlplab.data.schema import Schema, column_rows
from mlplab.errors import UserError, listed
from mlplab.figures import IMPORTANCE
from mlplab.runs.compare.run_result import RunResult
from mlplab.runs.folder import TEST_PREDICTIONS
from mlplab.runs.predictions import column_names
from mlplab.runs.trained.chosen_ensemble import ENSEMBLE_FILE, ChosenEnsemble

MOST_COLUMNS = 500
"""Columns that the page lists at most."""

WORST = 10
"""Rows with the largest errors that are shown."""

MOST_TARGETS = 4
"""Targets whose worst rows are shown at most."""

MOST_NAMES = 5
"""Runs that are named at most."""


class TextTable(NamedTuple):
    """A table whose first column names its rows.

    Attributes:
        text: the numbers of the columns with text; all others are aligned as numbers.
        marked: the numbers of the rows that stand out.
    """

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    text: Collection[int] = (0,)
    marked: Collection[int] = ()


def columns_table(schema: Schema) -> TextTable:
    """A row for each column of the table: its role, its kind, and what its cells are."""
    rows, titles = list(column_rows(schema)), ("column", "role", "kind", "note")
    shown = 4 if any(note for *_, note in rows) else 3
    more = f", of which the first {MOST_COLUMNS} are shown" * (len(rows) > MOST_COLUMNS)
    cells = [row[:shown] for row in rows[:MOST_COLUMNS]]
    return TextTable(f"{plural(len(rows), 'column')}{more}", titles[:shown], cells, text=range(4))


def worst_rows(run: Path, schema: Schema) -> list[TextTable]:
    """The test rows with the largest errors of each target, or with the lowest probability of their class.

    Empty if there are no test predictions, or they do not fit the schema.
    """
    try:
        frame = pl.read_csv(run / TEST_PREDICTIONS, infer_schema=False, glob=False)
    except (OSError, pl.exceptions.PolarsError):
        return []
    names, _ = column_names(schema)
    if not {*names, *schema.targets} <= set(frame.columns):
        return []
    row, true = pl.first().alias("row"), pl.col(schema.targets[0])
    if schema.classes:
        labels = label_values(schema.classes, schema.class_kind).cast(pl.String)
        probability = pl.coalesce(
            pl.when(true == label).then(pl.col(name)) for label, name in zip(labels, names[1:], strict=True)
        ).cast(pl.Float64, strict=False)
        chosen = pl.col(names[0]).alias("predicted")
        worst = frame.select(row, true.alias("true"), chosen, probability.alias("probability")).drop_nulls()
        worst = worst.sort("probability", maintain_order=True)
        return [_rows("The lowest probabilities of the true class", worst, text=(1, 2))]
    tables = []
    for target, name in list(zip(schema.targets, names, strict=True))[:MOST_TARGETS]:
        numbers = pl.col(target).alias("true"), pl.col(name).alias("predicted")
        shown = frame.select(row, *(number.cast(pl.Float64, strict=False) for number in numbers))
        worst = shown.with_columns(error=pl.col("predicted") - pl.col("true")).drop_nulls()
        worst = worst.sort(pl.col("error").abs(), descending=True, maintain_order=True)
        tables.append(_rows(f"{target}: the largest errors", worst))
    return tables


def _rows(caption: str, worst: pl.DataFrame, text: Collection[int] = ()) -> TextTable:
    """The first rows."""
    cells = [
        [cell if isinstance(cell, str) else f"{cell:.5g}" for cell in row] for row in worst.head(WORST).rows()
    ]
    return TextTable(caption, worst.columns, cells, text)


def importance_in(folder: Path, runs: Collection[str] | None = None) -> dict[str, Any] | None:
    """The importance of the columns in the folder of a run or a sweep: its basis, table and figure.

    None if there is none, if its file is damaged, or if it is of none of these runs of a sweep.
    """
    importance = Importance.read(folder)
    if not importance or (runs is not None and set(runs).isdisjoint(importance.runs)):
        return None
    rows = [(column.name, f"{column.mean:.4g}", f"{column.sd:.2g}") for column in importance.columns]
    increase = f"Increase of {importance.metric} ({importance.error:.4g}) when a column is shuffled"
    chosen = f"{plural(len(importance.runs), 'run')} ({listed(importance.runs, MOST_NAMES)})"
    figures = figures_of(folder)
    return {
        "basis": "; ".join([f"Of {chosen}", *importance.basis]) + ".",
        "table": TextTable(f"{increase}: mean and SD", ("column", "increase", "SD"), rows),
        "figures": [figures[IMPORTANCE]] if IMPORTANCE in figures else [],
    }


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
