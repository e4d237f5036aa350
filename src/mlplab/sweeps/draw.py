"""Draws the figures of a sweep's runs: of the best one, or of all that ask for it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mlplab.config.metrics import sign_of
from mlplab.imports import heavy_imports
from mlplab.runs.selection import RunResult, common_monitor

if TYPE_CHECKING:
    from mlplab.data.cache import DataCache


def draw_sweep(runs: Sequence[RunResult], cache: "DataCache") -> None:
    """Draws the finished runs with `figures=all`, and the best of those with `figures=auto`.

    The best has the best monitored validation metric. Runs with figures are not drawn again.

    Args:
        cache: may have read the tables already.
    """
    chosen = [run for run in runs if run.done and run.config.get("figures") == "all"]
    if best := _best([run for run in runs if run.done and run.config.get("figures") == "auto"]):
        chosen.append(best)
    if not chosen:
        return
    with heavy_imports():
        from mlplab.figures.files import FIGURES
        from mlplab.runs.draw import draw_finished
    for run in chosen:
        if not (run.folder / FIGURES).is_dir():
            draw_finished(run.folder, cache)


def _best(runs: Sequence[RunResult]) -> RunResult | None:
    monitor = common_monitor(runs)
    scored = [run for run in runs if run.metric(monitor) == run.metric(monitor)]
    return min(scored, key=lambda run: sign_of(monitor) * run.metric(monitor), default=None)
