"""The command train: one run, new or resumed. Wrong input is refused before torch is imported."""

import logging
import shlex
from pathlib import Path
from textwrap import fill

from rich.console import Console

from mlplab.commands.render import score_table, verdict
from mlplab.config import TrainConfig
from mlplab.config.metrics import main_scores
from mlplab.console import print_line
from mlplab.data.cache import DataCache
from mlplab.errors import Interrupted, RunFailed
from mlplab.figures import is_drawn, warn_if_failing
from mlplab.imports import heavy_imports
from mlplab.runs.folder import RunFolder
from mlplab.runs.planned_run import PlannedRun, has_ended, resolved
from mlplab.runs.read_folder import has_test_scores, read_metrics
from mlplab.runs.run_archive import check_finished
from mlplab.training.outcome import AS_PLANNED, Metrics
from mlplab.typed_commands import inside

log = logging.getLogger(__name__)


def train(
    run: TrainConfig, folder: Path, cache: DataCache, progress: Console, *, resume: bool = False
) -> Metrics:
    """Trains a run. One that is resumed and has ended is tested, if that was left out.

    Args:
        progress: where a progress bar is shown.
        resume: whether the folder already belongs to this run. Training continues from its last.ckpt, or
            starts from the beginning if there is none.

    Returns:
        The content of its metrics.json.

    Raises:
        UserError: if the folder is in use, or the run cannot be built.
        RunFailed: if the loss becomes non-finite.
        Interrupted: after SIGINT or SIGTERM, with the training state saved.
    """
    if not resume:
        RunFolder(folder).check_unused()
        if run.init_from:
            check_finished(Path(run.init_from), "init_from")
    elif has_ended(folder, run, alone=True):
        metrics = read_metrics(folder)
        if metrics["status"] not in AS_PLANNED:
            raise RunFailed(f"{inside(folder)} has already ended: {metrics['reason']}")
        is_done = metrics["status"] == "done"
        log.info("%s %s", inside(folder), "has already finished" if is_done else f"was {metrics['reason']}")
        is_untested = is_done and run.test and not has_test_scores(metrics)
        return score_tests(cache, folder) if is_untested else metrics
    log.info("loading torch and the table %s …", getattr(run.data, "path", run.data.name))
    run = resolved(run, cache, folder, alone=True)
    with heavy_imports():
        from mlplab.runs.train_runs import train_runs

    try:
        [metrics] = train_runs([PlannedRun(run, folder, resume=resume)], cache, progress)
    except Interrupted as error:
        where = shlex.quote(str(inside(folder)))
        raise Interrupted(f"{error}\n  to continue: mlplab train resume={where}", error.number) from error
    if metrics["status"] != "done":
        raise RunFailed(metrics["reason"])
    return metrics


def draw_if_asked(run: TrainConfig, folder: Path, metrics: Metrics, cache: DataCache) -> None:
    """Draws a finished run if it asks for figures and has none yet."""
    if run.figures == "none" or not has_test_scores(metrics) or is_drawn(folder):
        return
    with warn_if_failing(folder):
        draw_figures(cache, folder)


def score_tests(cache: DataCache, folder: Path) -> Metrics:
    """Calls `score_finished_run`, which needs torch."""
    with heavy_imports():
        from mlplab.runs.train_runs import score_finished_run

    return score_finished_run(folder, cache)


def draw_figures(cache: DataCache, folder: Path) -> None:
    """Draws the figures of a finished run.

    Raises:
        UserError: if its table is gone, or has changed.
    """
    with heavy_imports():
        from mlplab.runs.draw_figures import draw
        from mlplab.runs.trained.trained_run import TrainedRun

    run = TrainedRun.read(folder)
    data = cache.data(run.config, run.schema)
    data.check_unchanged(run.table, "train again", order=False)
    draw(run, data)


def print_scores(metrics: Metrics, console: Console, *, has_class_weights: bool) -> None:
    """Prints a table of scores beside those of the baselines, and how good they are."""
    part, title = ("test", "test") if has_test_scores(metrics) else ("val", "validation")
    console.print(score_table(main_scores(metrics, part), title))
    if sentence := verdict(metrics, has_class_weights=has_class_weights):
        print_line(console, fill(sentence, console.width))
