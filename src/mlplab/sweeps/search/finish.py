"""Ends a search: tests its best trial, writes `best.yaml`, and prints what was found."""

import math
from collections import Counter
from collections.abc import Sequence

from optuna.trial import FrozenTrial
from rich.table import Table as RichTable

from mlplab.commands.render import format_score, main_scores, score_table
from mlplab.console import first_few, plural, print_line
from mlplab.errors import RunFailed
from mlplab.imports import heavy_imports
from mlplab.runs.best_trial import BestTrial, trial_name
from mlplab.runs.compare.key_importance import key_importance
from mlplab.runs.compare.labels import as_typed, in_brief
from mlplab.runs.discovery import BEST_TRIAL_FILE, has_test_scores
from mlplab.sweeps.draw_sweep import draw_sweep
from mlplab.sweeps.launch import score_finished
from mlplab.sweeps.search.space import Space
from mlplab.sweeps.search.study import STATES, SearchStudy, status_of
from mlplab.sweeps.summary import results_of
from mlplab.sweeps.sweep import SweepLauncher
from mlplab.sweeps.winner import with_introduction
from mlplab.typed_commands import command_line, inside, tensorboard_command

BY_CHANCE = "no different\nfrom chance"
"""Stands for the importance of a key that chance would give it, too."""


def finish(study: SearchStudy, trial: FrozenTrial, commands: Sequence[str], launcher: SweepLauncher) -> None:
    """Tests the best trial, which was chosen by its validation metric; writes, draws and prints the results.

    Without test rows, its validation scores are printed.

    Args:
        commands: what trains the configuration of the best trial, as `training_commands`.

    Raises:
        RunFailed: if some trials failed.
    """
    console, ensemble = launcher.console, launcher.composed.settings.ensemble
    root, counts = study.root, Counter(map(status_of, study.trials))
    folder = root / trial_name(trial.number)
    metrics = launcher.engine.call(score_finished, folder)
    part, title = ("test", "test") if has_test_scores(metrics) else ("val", "validation")
    (_, scores), *baselines = main_scores(metrics, part).items()
    dimensions = study.space.dimensions  # the text of a choice such as `[64,64]` is a list
    values = {key: dimensions[key].given(value).value() for key, value in trial.params.items()}
    importance = _importance(study)
    best = BestTrial(
        trial=folder.name,
        monitor=study.monitor,
        value=float(trial.value or 0.0),
        trials=dict(counts.most_common()),
        configuration=values,
        command=commands[0],
        importance={key: share for key, (share, _) in importance.items()},
        chance={key: chance for key, (_, chance) in importance.items()},
        test=scores if part == "test" else {},
    )
    best.write(root)
    rows = {folder.name: scores}
    lines = [f"search folder: {inside(root)} ({BEST_TRIAL_FILE}: the best configuration)"]
    try:
        if ensemble:
            with heavy_imports():
                import torch

                from mlplab.commands.select_ensemble import ENSEMBLE, select_ensemble

            torch.set_num_threads(1)
            chosen = select_ensemble(root, ensemble, launcher.cache)
            if chosen.test_scores:
                rows[ENSEMBLE] = {**chosen.test_scores}
            lines.append(f"ensemble: {inside(chosen.file)}")
        results = results_of(root)
        if cut_off := sum(run.done and "reason" in run.metrics for run in results):
            lines.append(f"without time for all of their epochs: {plural(cut_off, 'trial')}")
        draw_sweep(results, launcher.engine, best)
    finally:  # a full disk or Ctrl-C takes only the ensemble and the figures
        shown = ", ".join(f"{count:,} {status}" for status, count in best.trials.items())
        print_line(console, f"{len(study.trials):,} trials: {shown}")
        console.print(_table(best, study.space))
        console.print(score_table(rows | dict(baselines), title))
        if "reason" in metrics:
            lines.append(f"{folder.name}: {metrics['reason']}; to train it in full:")
        lines += with_introduction(commands)
        print_line(console, *lines, command_line("report", root), tensorboard_command(root))
    if counts["failed"]:
        raise RunFailed(failures(study))


def failures(study: SearchStudy) -> str:
    """How many trials failed, and why the first few did; if none finished, why the others did not."""
    failed = [trial for trial in study.trials if status_of(trial) == "failed"] if study.best else study.trials
    first = f"{len(failed)} of {len(study.trials)} trials failed" if study.best else "no trial finished"
    reasons = [f"  {trial_name(trial.number)}: {trial.user_attrs.get('reason', '')}" for trial in failed]
    return "\n".join([first, *first_few(reasons)])


def _importance(study: SearchStudy) -> dict[str, tuple[float, float]]:
    """The importance of each key, and what of it may be chance.

    Pruned trials count with the values that they had, diverged ones as worst. The finished ones alone would
    not do: values that are bad everywhere have none.
    """
    trials = [trial for trial in study.trials if status_of(trial) in STATES]
    scores = [math.inf if trial.value is None else study.sign * trial.value for trial in trials]
    values = {key: [trial.params[key] for trial in trials] for key in study.space.dimensions}
    return key_importance(scores, values)


def _table(best: BestTrial, space: Space) -> RichTable:
    """The best value of each key, how important the key is, and what was searched."""
    value = format_score(best.value, best.monitor)
    table = RichTable(f"{best.monitor} {value}", best.trial, "importance")
    table.add_column("searched", overflow="fold")
    for key in sorted(space.dimensions, key=lambda key: -best.importance.get(key, 0.0)):
        share, chance = best.importance.get(key), best.chance.get(key, 0.0)
        importance = "–" if share is None else f"{share:.0%}" if share > chance else BY_CHANCE
        searched = space.dimensions[key].searched
        table.add_row(key, in_brief(as_typed(best.configuration[key])), importance, searched)
    return table
