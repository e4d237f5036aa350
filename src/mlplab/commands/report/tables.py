"""Tables of a page, as text: the columns of the data, the worst rows, and what other commands have left."""

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from mlplab.commands.render import NOT_A_TEST, format_score
from mlplab.commands.report.charts import figures_of
from mlplab.console import plural
from mlplab.data.class_labels import label_values
from mlplab.data.schema import ColumnRow, Schema, column_rows
from mlplab.errors import listed
from mlplab.figures import OF_IMPORTANCE
from mlplab.runs.discovery import ENSEMBLE_FILE, is_ensemble
from mlplab.runs.folder import TEST_PREDICTIONS
from mlplab.runs.predictions import prediction_names
from mlplab.runs.selection import RunResult
from mlplab.runs.trained.chosen_ensemble import IMPORTANCE_FILE

MOST_COLUMNS = 500
"""Columns that the page lists at most."""

WORST = 10
"""Rows with the largest errors that are shown."""

MOST_TARGETS = 4
"""Targets whose worst rows are shown at most."""

MOST_NAMES = 5
"""Runs that are named at most."""

TextTable = Mapping[str, Any]
"""What the template shows as a table: see `text_table`."""


def text_table(
    caption: str,
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    text: Collection[int] = (0,),
    marked: Collection[int] = (),
) -> TextTable:
    """A table whose first column names its rows.

    Args:
        text: the numbers of the columns with text; all others are aligned as numbers.
        marked: the numbers of the rows that stand out.
    """
    return {"caption": caption, "head": head, "rows": rows, "text": text, "marked": marked}


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; empty if there is none, or it is damaged."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def columns_table(schema: Schema) -> TextTable:
    """A row for each column of the table: its role, its kind, and what its cells are."""
    rows: list[Sequence[str]] = list(column_rows(schema))
    shown = 4 if any(note for *_, note in rows) else 3
    more = f", of which the first {MOST_COLUMNS} are shown" * (len(rows) > MOST_COLUMNS)
    cells = [row[:shown] for row in rows[:MOST_COLUMNS]]
    return text_table(f"{plural(len(rows), 'column')}{more}", ColumnRow._fields[:shown], cells, text=range(4))


def worst_rows(run: Path, schema: Schema) -> list[TextTable]:
    """The test rows with the largest errors of each target, or with the lowest probability of their class.

    Empty if there are no test predictions, or they do not fit the schema.
    """
    try:
        frame = pl.read_csv(run / TEST_PREDICTIONS, infer_schema=False, glob=False)
    except (OSError, pl.exceptions.PolarsError):
        return []
    names = prediction_names(schema)
    if not {*names, *schema.targets} <= set(frame.columns):
        return []
    row = pl.first().alias("row")
    if schema.classes:
        labels = label_values(schema.classes, schema.class_kind).cast(pl.String)
        true, predicted = pl.col(schema.targets[0]), pl.col(names[0])
        of_true = pl.coalesce(
            pl.when(true == label).then(pl.col(name)) for label, name in zip(labels, names[1:], strict=True)
        )
        probability = of_true.cast(pl.Float64, strict=False).alias("probability")
        table = frame.select(row, true.alias("true"), predicted.alias("predicted"), probability)
        worst = table.drop_nulls().sort("probability", maintain_order=True)
        return [_rows("The lowest probabilities of the true class", worst, text=(1, 2))]
    tables = []
    for target, name in list(zip(schema.targets, names, strict=True))[:MOST_TARGETS]:
        true, predicted = (pl.col(column).cast(pl.Float64, strict=False) for column in (target, name))
        error = (predicted - true).alias("error")
        table = frame.select(row, true.alias("true"), predicted.alias("predicted"), error).drop_nulls()
        worst = table.sort(pl.col("error").abs(), descending=True, maintain_order=True)
        tables.append(_rows(f"{target}: the largest errors", worst))
    return tables


def _rows(caption: str, worst: pl.DataFrame, text: Collection[int] = ()) -> TextTable:
    """The first rows."""
    cells = [
        [cell if isinstance(cell, str) else f"{cell:.5g}" for cell in row] for row in worst.head(WORST).rows()
    ]
    return text_table(caption, worst.columns, cells, text)


def importance_in(folder: Path, runs: Collection[str] | None = None) -> dict[str, Any] | None:
    """The importance of the columns in the folder of a run or a sweep: of which runs and rows, and figures.

    Args:
        runs: of a sweep, the names of runs on one table.

    Returns:
        None if there is none, if it is of none of these runs, or if its file is damaged.
    """
    content = read_json(folder / IMPORTANCE_FILE)
    try:
        rows = [
            (str(column["name"]), f"{float(column['mean']):.4g}", f"{float(column['sd']):.2g}")
            for column in content["columns"]
        ]
        metric, error, repeats = content["metric"], float(content["error"]), content["repeats"]
        basis = f"on {int(content['rows']):,} rows ({content['source']})"
        basis += "." if content["part"] == "test" else f"; {NOT_A_TEST}."
        names = list(map(str, content["runs"]))
    except (KeyError, TypeError, ValueError):
        return None
    if runs is not None and not set(names) & set(runs):
        return None
    caption = (
        f"Increase of {metric} ({error:.4g}) when a column is shuffled: mean and SD of {repeats} shuffles"
    )
    figures = figures_of(folder)
    return {
        "basis": f"Of {plural(len(names), 'run')} ({listed(names, MOST_NAMES)}), {basis}",
        "table": text_table(caption, ("column", "increase", "SD"), rows),
        "figures": [figures[name] for name in OF_IMPORTANCE if name in figures],
    }


def read_ensemble(folder: Path) -> tuple[dict[str, float], dict[str, float]]:
    """The weights of the runs of a chosen ensemble, by name, and its scores, by metric, such as `test/rmse`.

    Both are empty if the folder is something else, or its file is damaged.
    """
    saved = read_json(folder / ENSEMBLE_FILE) if is_ensemble(folder) else {}
    try:
        weights = {str(name): float(weight) for name, weight in saved.pop("runs").items()}
        return weights, {name: float(value) for name, value in saved.items()}
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}, {}


def ensemble_table(folder: Path) -> TextTable | None:
    """The weights of the runs of a chosen ensemble, and its scores; None if the folder is something else."""
    weights, scores = read_ensemble(folder)
    shown = ", ".join(f"{name} {format_score(value, name)}" for name, value in scores.items())
    rows = [(name, f"{weight:.4g}") for name, weight in weights.items()]
    return text_table(f"Chosen ensemble: {shown}", ("run", "weight"), rows) if rows else None


def ensembles_of(runs: Sequence[RunResult]) -> dict[str, tuple[int, dict[str, float]]]:
    """The ensembles that were chosen among some runs, beside whose folders theirs are.

    Returns:
        By the name of its folder, the number of runs in an ensemble and its scores.
    """
    ensembles, names = {}, {run.folder for run in runs}
    for folder in sorted(
        folder for parent in {run.folder.parent for run in runs} for folder in parent.iterdir()
    ):
        weights, scores = read_ensemble(folder)
        if weights and {folder.parent / name for name in weights} <= names:
            ensembles[folder.name] = len(weights), scores
    return ensembles
