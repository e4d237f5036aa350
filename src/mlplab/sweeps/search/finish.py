"""Ends a search: tests its best trial, writes `best.yaml`, and prints what was found."""

import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna
import yaml
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console
from rich.table import Table as RichTable

from mlplab.commands.render import (
    ENSEMBLE,
    format_score,
    inside,
    main_scores,
    score_table,
    script_command,
    tensorboard_command,
)
from mlplab.config import Sweep
from mlplab.console import print_line
from mlplab.data.cache import DataCache
from mlplab.errors import RunFailed
from mlplab.imports import heavy_imports
from mlplab.runs.best_trial import BestTrial, trial_name
from mlplab.runs.discovery import BEST_TRIAL_FILE
from mlplab.runs.selection import as_typed
from mlplab.sweeps.draw import draw_sweep
from mlplab.sweeps.search.space import Space, Value
from mlplab.sweeps.search.study import SearchStudy
from mlplab.sweeps.summary import SHOWN, results_of

STATUSES = ("done", "pruned", "diverged", "failed")
"""How trials end, in the order in which they are counted."""

FEWEST_FOR_IMPORTANCE = 4
"""Finished trials below which nothing can be said of the importance of keys."""


def finish(
    root: Path,
    settings: Sweep,
    study: SearchStudy,
    monitor: str,
    command: Callable[[Mapping[str, Value]], str],
    cache: DataCache,
) -> None:
    """Tests the best trial, which was chosen by its validation metric; writes, draws and prints the results.

    Args:
        command: what trains a configuration, given its values.

    Raises:
        RunFailed: if no trial finished, or some failed.
    """
    counts = Counter(map(status_of, study.trials))
    by_status = {status: counts[status] for status in STATUSES if counts[status]}
    best = study.best
    if best is None:
        raise RunFailed(_failures(study))
    with heavy_imports():
        import torch

        from mlplab.commands.select_ensemble import select_ensemble
        from mlplab.runs.stack.score_test_rows import score_finished_run

    torch.set_num_threads(1)
    folder = root / trial_name(best.number)
    (_, own), *baselines = main_scores(score_finished_run(folder, cache)).items()
    found = BestTrial(
        folder.name,
        monitor,
        float(best.value or 0.0),
        by_status,
        _typed_values(best.params),
        command(best.params),
        _importance(study),
        own,
    )
    found.write(root)
    rows = {folder.name: own}
    lines = [f"search folder: {inside(root)} ({BEST_TRIAL_FILE}: the best configuration)"]
    try:
        if settings.ensemble:
            chosen = select_ensemble(root, settings.ensemble, cache)
            rows[ENSEMBLE] = {**chosen.test_scores}
            lines.append(f"ensemble folder: {inside(chosen.folder)}")
        draw_sweep(root, results_of(root, {}), cache, found)
    finally:  # a full disk or Ctrl-C takes only the ensemble and the figures
        console = Console()
        shown = ", ".join(f"{count:,} {status}" for status, count in by_status.items())
        print_line(console, f"{len(study.trials):,} trials: {shown}")
        console.print(_table(found, study.space))
        console.print(score_table(rows | dict(baselines)))
        for line in (*lines, found.command, script_command("report.py", root), tensorboard_command(root)):
            print_line(console, line)
    if counts["failed"]:
        raise RunFailed(_failures(study))


def status_of(trial: FrozenTrial) -> str:
    """How a trial has ended."""
    if trial.state == TrialState.COMPLETE:
        return "done"
    return next((status for status in STATUSES if status in trial.user_attrs), "failed")


def _failures(study: SearchStudy) -> str:
    """How many trials failed, and why the first few did; if none finished, also those that diverged."""
    of_interest = ("failed",) if study.best else ("failed", "diverged", "pruned")
    failed = [trial for trial in study.trials if status_of(trial) in of_interest]
    lines = [f"{len(failed)} of {len(study.trials)} trials failed" if study.best else "no trial finished"]
    for trial in failed[:SHOWN]:
        lines.append(f"  {trial_name(trial.number)}: {trial.user_attrs.get(status_of(trial), '')}")
    return "\n".join([*lines, *(["  …"] if len(failed) > SHOWN else [])])


def _typed_values(values: Mapping[str, Value]) -> dict[str, Any]:
    """Values as in a configuration: the text of a choice such as `[64,64]` is a list."""
    return {key: yaml.safe_load(value) if isinstance(value, str) else value for key, value in values.items()}


def _importance(study: SearchStudy) -> dict[str, float]:
    """The importance of each key (PED-ANOVA, Watanabe et al. 2023); empty if too few trials finished."""
    if len(study.done) < FEWEST_FOR_IMPORTANCE:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return optuna.importance.get_param_importances(study.study)
        except (ValueError, RuntimeError):
            return {}


def _table(found: BestTrial, space: Space) -> RichTable:
    """The best value of each key, how important the key is, and what was searched."""
    value = format_score(found.value, found.monitor)
    table = RichTable(f"{found.monitor} {value}", found.trial, "importance", "searched")
    keys = sorted(space.dimensions, key=lambda key: -found.importance.get(key, 0.0))
    for key in keys:
        best = found.configuration[key]
        importance = f"{found.importance[key]:.0%}" if key in found.importance else "–"
        shown = f"{best:.4g}" if isinstance(best, float) else as_typed(best)
        table.add_row(key, shown, importance, space.dimensions[key].text)
    return table
