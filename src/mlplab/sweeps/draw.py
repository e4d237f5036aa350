"""Draws a sweep: its best run, or all runs that ask for it, and what the runs have in common."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mlplab.imports import heavy_imports
from mlplab.runs.selection import RunResult

if TYPE_CHECKING:
    from mlplab.data.cache import DataCache


def draw_sweep(root: Path, runs: Sequence[RunResult], cache: "DataCache") -> None:
    """Draws each finished run with `figures=all`, and of those with `figures=auto` the best.

    That is the best run of the best configuration, by the validation metric. A run that has figures is not
    drawn again. The figures of the sweep itself compare its runs.

    Args:
        root: the sweep's folder.
        cache: may have read the tables already.
    """
    drawn = [run for run in runs if run.done and run.config.get("figures") in ("auto", "all")]
    if not drawn:
        return
    with heavy_imports():
        from mlplab.commands.report.charts import comparison_charts
        from mlplab.commands.report.comparison import compared
        from mlplab.figures.files import FIGURES, add_figures
        from mlplab.runs.draw import draw_finished, warn_if_failing
    comparisons = compared(root, drawn)
    best = {comparison.best[0].folder for comparison in comparisons}
    for run in drawn:
        wanted = run.config["figures"] == "all" or run.folder in best
        if wanted and not (run.folder / FIGURES).is_dir():
            draw_finished(run.folder, cache)
    if len(comparisons) == 1:
        with warn_if_failing(root):
            add_figures(root, comparison_charts(comparisons[0]))
