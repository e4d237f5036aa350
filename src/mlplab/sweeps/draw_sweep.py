"""Draws the best run of a sweep, or all runs that ask for it."""

import logging
from collections.abc import Sequence

from mlplab.commands.report.comparison import Comparison
from mlplab.commands.train import draw_figures
from mlplab.console import progress_lines
from mlplab.figures import is_drawn, warn_if_failing
from mlplab.runs.discovery import has_test_scores
from mlplab.sweeps.engines.engine import Engine

log = logging.getLogger(__name__)


def draw_sweep(comparisons: Sequence[Comparison], engine: Engine) -> None:
    """Draws each finished run with `figures=all`, and of those with `figures=auto` the best.

    That is the best run of the best configuration, by the validation metric. A run that has figures is not
    drawn again, and one without test scores not at all.
    """
    best = {comparison.best[0].folder for comparison in comparisons if comparison.best}
    runs = [run for comparison in comparisons for run in comparison.runs]
    new = [run for run in runs if run.done and has_test_scores(run.metrics) and not is_drawn(run.folder)]
    asked = {"all": {run.folder for run in new}, "auto": best}
    wanted = [run.folder for run in new if run.folder in asked.get(str(run.config.get("figures")), ())]
    with progress_lines(log.info, lambda: f"drawing: {len(wanted):,} runs"):
        for folder in wanted:
            with warn_if_failing(folder):
                engine.call(draw_figures, folder)
