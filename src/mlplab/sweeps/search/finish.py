"""Ends a search: tests its best trial, writes `best.yaml`, and prints what was found."""

from collections import Counter
from collections.abc import Sequence

from optuna.trial import FrozenTrial
from rich.table import Table as RichTable

from mlplab.commands.render import format_score, score_table
from mlplab.commands.train import score_tests
from mlplab.config.metrics import main_scores
from mlplab.console import first_few, print_line
from mlplab.errors import RunFailed
from mlplab.imports import heavy_imports
from mlplab.runs.best_trial import BestTrial, trial_name
from mlplab.runs.compare.labels import as_typed, in_brief
from mlplab.runs.discovery import BEST_TRIAL_FILE, has_test_scores
from mlplab.sweeps.draw_sweep import draw_sweep
from mlplab.sweeps.search.space import Space
from mlplab.sweeps.search.study import SearchStudy, status_of
from mlplab.sweeps.summary import results_of
from mlplab.sweeps.sweep import SweepLauncher
from mlplab.sweeps.winner import with_introduction
from mlplab.typed_commands import command_line, inside, tensorboard_command


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
    metrics = launcher.engine.call(score_tests, folder)
    part, title = ("test", "test") if has_test_scores(metrics) else ("val", "validation")
    (_, scores), *baselines = main_scores(metrics, part).items()
    dimensions = study.space.dimensions  # the text of a choice such as `[64,64]` is a list
    values = {key: dimensions[key].given(value).value() for key, value in trial.params.items()}
    best = BestTrial(
        trial=folder.name,
        monitor=study.monitor,
        value=float(trial.value or 0.0),
        trials=dict(counts.most_common()),
        configuration=values,
        command=commands[0],
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
        draw_sweep(results, launcher.engine)
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


def _table(best: BestTrial, space: Space) -> RichTable:
    """The best value of each key, and what was searched."""
    value = format_score(best.value, best.monitor)
    table = RichTable(f"{best.monitor} {value}", best.trial)
    table.add_column("searched", overflow="fold")
    for key, dimension in space.dimensions.items():
        table.add_row(key, in_brief(as_typed(best.configuration[key])), dimension.searched)
    return table
