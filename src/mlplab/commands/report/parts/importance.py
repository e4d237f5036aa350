"""How important the columns are, as importance.json and its figures say."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from mlplab.commands.render import NOT_A_TEST
from mlplab.commands.report.charts import Drawing, figures_of
from mlplab.commands.report.parts.table import read_json
from mlplab.commands.report.parts.text_table import TextTable
from mlplab.errors import listed
from mlplab.runs.trained.chosen_ensemble import IMPORTANCE_FILE

FIGURES = ("importance", "partial_dependence")
"""The figures of importance; others are a run's."""

MOST_NAMES = 5
"""Runs that are named at most."""


@dataclass(frozen=True)
class ImportanceSection:
    """The importance of columns: of which runs and rows it is, figures, and their numbers."""

    basis: str
    table: TextTable
    figures: list[Drawing]


def importance_in(folder: Path, runs: Collection[str] | None = None) -> ImportanceSection | None:
    """The importance in the folder of a run or a sweep.

    Args:
        runs: of a sweep, the names of runs on one table.

    Returns:
        None if there is none, if it is of none of these runs, or if its file is damaged.
    """
    content = read_json(folder / IMPORTANCE_FILE)
    try:
        rows = [
            (str(each["name"]), f"{float(each['mean']):.4g}", f"{float(each['sd']):.2g}")
            for each in content["columns"]
        ]
        metric, error, repeats = content["metric"], float(content["error"]), content["repeats"]
        of_rows = f"{int(content['rows']):,} rows ({content['source']})"
        note = "" if content["part"] == "test" else f"; {NOT_A_TEST}"
        names = list(map(str, content["runs"]))
    except (KeyError, TypeError, ValueError):
        return None
    if runs is None:
        basis = f"On {of_rows}{note}."
    elif set(names) & set(runs):
        basis = f"{_of_runs(names)}, on {of_rows}{note}."
    else:
        return None
    caption = (
        f"Increase of {metric} ({error:.4g}) when a column is shuffled: mean and SD of {repeats} shuffles"
    )
    figures = figures_of(folder)
    shown = [figures[name] for name in FIGURES if name in figures]
    return ImportanceSection(basis, TextTable(caption, ("column", "increase", "SD"), rows), shown)


def _of_runs(names: list[str]) -> str:
    if len(names) == 1:
        return f"Of the run {names[0]}"
    return f"Of {len(names):,} runs together ({listed(names, MOST_NAMES)})"
