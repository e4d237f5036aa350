"""The command train: one run, new or resumed. Wrong input is refused before torch is imported."""

import logging
import shlex
from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

from rich.console import Console

from mlplab.commands.render import main_scores, score_table, tensorboard_folder
from mlplab.commands.verdict import verdict
from mlplab.config import TrainConfig
from mlplab.console import print_line
from mlplab.data.cache import DataCache
from mlplab.errors import Interrupted, RunFailed, reason_of
from mlplab.imports import heavy_imports
from mlplab.runs.discovery import finished_run, has_test_scores, read_metrics
from mlplab.runs.folder import AS_PLANNED, Metrics, RunFolder
from mlplab.runs.resolve import resolved
from mlplab.runs.resume import has_ended
from mlplab.runs.run import Run
from mlplab.typed_commands import inside, tensorboard_command

log = logging.getLogger(__name__)


def train(run: TrainConfig, folder: Path, overrides: Sequence[str], *, resume: bool) -> None:
    """Trains a run and prints its scores. For a resumed run that has ended, prints them again.

    Args:
        overrides: what was typed, for TensorBoard.
        resume: whether the folder already belongs to this run. Training continues from its last.ckpt, or
            starts from the beginning if there is none.

    Raises:
        UserError: if the folder is in use, or the run cannot be built.
        RunFailed: if the loss becomes non-finite.
        Interrupted: after SIGINT or SIGTERM, with the training state saved.
    """
    cache, wanted = DataCache(), run.figures != "none"
    if not resume:
        RunFolder(folder).check_unused()
        if run.init_from:
            finished_run(Path(run.init_from), "init_from")
    elif has_ended(folder, run, alone=True):
        metrics = read_metrics(folder)
        if metrics["status"] not in AS_PLANNED:
            raise RunFailed(f"{inside(folder)} has already ended: {metrics['reason']}")
        if metrics["status"] == "pruned":
            log.info("%s was %s", inside(folder), metrics["reason"])
        elif run.test and not has_test_scores(metrics):
            with heavy_imports():
                from mlplab.runs.stack.score_test_rows import score_finished_run

            log.info("%s has already finished: scoring its test rows", inside(folder))
            metrics = score_finished_run(folder, cache)
        else:
            log.info("%s has already finished", inside(folder))
        _print_scores(metrics, folder, run, Console())
        if wanted and has_test_scores(metrics):
            _draw(folder, cache, again=False)  # an interruption may have left it out, or a better run
        return
    run = resolved(run, cache, folder, alone=True)
    with heavy_imports():
        from mlplab.runs.train import train_runs

    console = Console()
    try:
        [metrics] = train_runs([Run(run, folder, resume=resume, overrides=overrides)], cache, console)
    except Interrupted as error:
        where = shlex.quote(str(inside(folder)))
        raise Interrupted(f"{reason_of(error)}\n  to continue: resume={where}", error.number) from error
    if metrics["status"] != "done":
        raise RunFailed(metrics["reason"])
    try:
        if wanted and run.test:
            _draw(folder, cache, again=True)
    finally:  # a full disk or Ctrl-C takes only the figures
        _print_scores(metrics, folder, run, console)


def _draw(folder: Path, cache: DataCache, *, again: bool) -> None:
    """Draws a finished run; not `again` if it has figures."""
    with heavy_imports():
        from mlplab.figures.files import is_drawn
        from mlplab.runs.draw_figures import draw_finished

    if again or not is_drawn(folder):
        draw_finished(folder, cache)


def _print_scores(metrics: Metrics, folder: Path, run: TrainConfig, console: Console) -> None:
    part, title = ("test", "test") if has_test_scores(metrics) else ("val", "validation")
    console.print(score_table(main_scores(metrics, part), title))
    if sentence := verdict(metrics, has_class_weights=run.data.class_weights != "none"):
        print_line(console, fill(sentence, console.width))
    for line in (f"run folder: {inside(folder)}", tensorboard_command(tensorboard_folder(folder))):
        print_line(console, line)
