"""Draws a sweep: its best run, or all runs that ask for it, and what they have in common."""

from collections.abc import Sequence
from pathlib import Path

from mlplab.commands.report.comparison import Comparison, compared
from mlplab.console import counted_lines
from mlplab.data.cache import DataCache
from mlplab.figures import FIGURES, is_drawn
from mlplab.figures.failing import warn_if_failing
from mlplab.imports import heavy_imports
from mlplab.runs.best_trial import BestTrial
from mlplab.runs.compare.run_result import RunResult
from mlplab.runs.discovery import has_test_scores
from mlplab.sweeps.engines.engine import Engine


def draw_sweep(runs: Sequence[RunResult], engine: Engine, best_trial: BestTrial | None = None) -> None:
    """Draws each finished run with `figures=all`, and of those with `figures=auto` the best.

    That is the best run of the best configuration, by the validation metric. A run that has figures is not
    drawn again, and one without test scores not at all. The figures of the sweep itself compare its runs, and
    are a run called `figures` in TensorBoard; a search with its best trial has figures of its own.
    """
    root = engine.root
    asked = [run for run in runs if run.done and run.config.get("figures") in ("auto", "all")]
    if not asked:
        return
    with warn_if_failing(root):
        comparisons = compared(root, runs)
        best = {comparison.best[0].folder for comparison in comparisons if comparison.best}
        tested = [run for run in asked if has_test_scores(run.metrics) and not is_drawn(run.folder)]
        wanted = [run.folder for run in tested if run.config["figures"] == "all" or run.folder in best]
        with counted_lines("drawing", f"of {len(wanted):,} runs") as count:
            for done, folder in enumerate(wanted, 1):
                with warn_if_failing(folder):
                    engine.call(_draw_run, folder)
                count(done)
        if len(comparisons) == 1:
            engine.call(_draw_comparison, comparisons[0], best_trial)


def _draw_run(cache: DataCache, folder: Path) -> None:
    with heavy_imports():
        from mlplab.runs.draw_figures import draw_finished

    draw_finished(folder, cache)


def _draw_comparison(_: DataCache, comparison: Comparison, best_trial: BestTrial | None) -> None:
    with heavy_imports():
        from torch.utils.tensorboard import SummaryWriter

        from mlplab.commands.report.charts import comparison_charts
        from mlplab.figures.files import write_figures
        from mlplab.runs.loggers.tensorboard import log_images

    root = comparison.root
    if charts := comparison_charts(comparison, best_trial):
        images = write_figures(root, charts)
        if any(key.startswith("logger.tensorboard.") for run in comparison.runs for key in run.config):
            for earlier in (root / FIGURES).glob("events.out.tfevents.*"):
                earlier.unlink()
            with SummaryWriter(str(root / FIGURES)) as writer:
                log_images([writer], images)
