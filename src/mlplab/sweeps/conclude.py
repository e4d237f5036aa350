"""The end of a sweep: its results and figures, the best configurations, and how to train the best again."""

import logging
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl
from hydra.core.override_parser.types import Override
from rich.console import Console
from rich.table import Table as RichTable

from mlplab.commands.report.comparison import Comparison, compared
from mlplab.commands.results import results_of_table, scores_of
from mlplab.commands.results_table import results_table
from mlplab.commands.train import draw_figures
from mlplab.config.metrics import BASELINES
from mlplab.console import first_few, print_line, progress_lines
from mlplab.data.cache import DataCache
from mlplab.figures import is_drawn, warn_if_failing
from mlplab.runs.compare.ranking import REPEATS, warn_of_ensembles
from mlplab.runs.compare.run_result import RunResult, metrics_of_runs, quantiles_of, read_run, table_title
from mlplab.runs.discovery import runs_below
from mlplab.runs.planned_run import resolved
from mlplab.runs.read_folder import has_test_scores
from mlplab.sweeps.check_runs import ComposeRuns, RefusedRun
from mlplab.sweeps.engines.engine import Engine
from mlplab.sweeps.grid import Runs, lines_of
from mlplab.sweeps.launch import SweepLauncher
from mlplab.training.outcome import AS_PLANNED
from mlplab.typed_commands import command_line, inside, tensorboard_command

log = logging.getLogger(__name__)


def conclude(launcher: SweepLauncher, comparisons: Sequence[Comparison], lines: Sequence[str]) -> str:
    """Draws and prints the best runs.

    Args:
        comparisons: those of the sweep's runs.
        lines: about how to train the best configuration.

    Returns what `summarize` returns.
    """
    try:
        draw_sweep(comparisons, launcher.engine)
    finally:  # a full disk or Ctrl-C takes only the figures
        failures = summarize(comparisons, launcher.console, lines)
    return failures


def results_of(root: Path, known: Sequence[RunResult] = ()) -> list[Comparison]:
    """The results of a sweep's runs, sorted by name: those that are known, and others in its folder."""
    results = {run.folder: run for run in known}
    results |= {folder: read_run(folder) for folder in runs_below(root) if folder not in results}
    return compared(root, [results[folder] for folder in sorted(results)])


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


def summarize(comparisons: Sequence[Comparison], console: Console, lines: Sequence[str] = ()) -> str:
    """Prints the best configurations of a sweep by the monitored metric, and the sweep's folder.

    Args:
        lines: about how to train the best configuration.

    Returns how many runs failed, and why the first few did; empty if none did.
    """
    for comparison in comparisons:
        if comparison.best:
            title = table_title(comparison.runs) if len(comparisons) > 1 else None
            console.print(best_configurations(comparison, console.width, title))
            warn_of_ensembles([*comparison.keys])
    root = comparisons[0].root
    more = *lines, command_line("results", root), tensorboard_command(root)
    print_line(console, f"sweep folder: {inside(root)}", *more)
    runs = {comparison.name(run): run.metrics for comparison in comparisons for run in comparison.runs}
    failed = {name: metrics for name, metrics in runs.items() if metrics["status"] not in AS_PLANNED}
    reasons = [f"  {name}: {each['status']}, {each.get('reason', '')}" for name, each in failed.items()]
    return "\n".join([f"{len(failed)} of {len(runs)} runs failed", *first_few(reasons)]) if failed else ""


def best_configurations(comparison: Comparison, width: int, title: str | None = None) -> RichTable:
    """The best configurations by the mean validation metric over their seeds and folds, and the baselines.

    There are no baselines if the runs' tables differ, or their ensembles: those leave other rows to them.
    Nor if they predict different quantiles, which the baselines predict, too.
    """
    runs, keys = comparison.runs, [*comparison.keys]
    results = results_of_table(runs, keys)
    frame = results.frame.filter(pl.col("runs") > 0).with_columns(pl.lit(None).alias("not done"))
    same_rows = {key for key in keys if key.startswith("data.") or key == "ensemble"} <= {"data.batch_size"}
    baselines = []
    if same_rows and len({str(quantiles_of(run)) for run in runs}) == 1:
        for key, name in BASELINES[metrics_of_runs(runs)].items():
            scores = scores_of(runs, results.metrics, f"{key}/")
            if not math.isnan(scores[results.metrics[1]]):
                baselines.append({"label": name, **scores})
    label = f"best of {len(frame)} configurations" if len(frame) > 1 else "configuration"
    shown = replace(results, frame=frame.head(5))
    return results_table(shown, width, title, label=label, baselines=baselines)


def winner(comparisons: Sequence[Comparison], overrides: Runs) -> Sequence[Override]:
    """The overrides of a grid's best configuration, without seeds and folds over which its score is a mean.

    There are none if the runs are on several tables, or if it is of an earlier command.

    Args:
        overrides: those of each run, by the name of its folder.
    """
    if len(comparisons) > 1 or not comparisons[0].best:
        return []
    first, *others = comparisons[0].best
    of_first = overrides.get(first.folder.name, ())
    return [each for each in of_first if not (others and each.key_or_group in REPEATS)]


def how_to_train(compose: ComposeRuns, overrides: Sequence[Override], cache: DataCache) -> list[str]:
    """The command that trains a configuration as the sweep did, after a line that says what a run alone gets.

    With `ensemble=auto`, networks of a sweep are scored one by one, and a run alone is an ensemble. There is
    no command if the overrides need the fold that they lack.
    """
    [run] = compose({"": overrides})
    if isinstance(run, RefusedRun):
        return []
    scored, of_run = (resolved(run.config, cache, alone=alone).ensemble for alone in (False, True))
    other = f", or with ensemble={of_run} as an ensemble" * (scored != of_run)
    lines = [line for line in lines_of(overrides) if not re.match(r"[+~]*(name|sweep|ensemble)\b", line)]
    return [f"To train the best again{other}:", command_line("train", *lines, f"ensemble={scored}")]
