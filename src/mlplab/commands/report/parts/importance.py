"""How important the columns are, as importance.json and its figures say."""

from dataclasses import dataclass
from pathlib import Path

from mlplab.commands.report.charts import Drawing, figures_of
from mlplab.commands.report.parts.grid import Grid
from mlplab.commands.report.parts.table import read_json
from mlplab.runs.trained.chosen_ensemble import IMPORTANCE_FILE

FIGURES = ("importance", "partial_dependence")
"""The figures of importance; others are a run's."""


@dataclass(frozen=True)
class Importance:
    """The importance of columns: figures, and their numbers."""

    grid: Grid
    figures: list[Drawing]


def importance_in(folder: Path) -> Importance | None:
    """The importance in the folder of a run or a sweep; None if there is none, or its file is damaged."""
    content = read_json(folder / IMPORTANCE_FILE)
    try:
        rows = [
            (str(each["name"]), f"{float(each['mean']):.4g}", f"{float(each['sd']):.2g}")
            for each in content["columns"]
        ]
        metric, error = content["metric"], float(content["error"])
        repeats, count = content["repeats"], content["rows"]
    except (KeyError, TypeError, ValueError):
        return None
    of = f"mean and SD of {repeats} repeats, {count} rows"
    caption = f"Rise of {metric} ({error:.4g}) when a column is shuffled: {of}"
    figures = figures_of(folder)
    shown = [figures[name] for name in FIGURES if name in figures]
    return Importance(Grid(caption, ("column", "rise", "SD"), rows), shown)
