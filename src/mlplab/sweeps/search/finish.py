"""Ends a search: tests its best trial, writes `best.yaml`, and prints what was found."""

from collections import Counter
from collections.abc import Sequence

from optuna.trial import FrozenTrial

from mlplab.commands.train import score_tests
from mlplab.config.metrics import main_scores
from mlplab.console import first_few, plural, print_line
from mlplab.errors import RunFailed
from mlplab.runs.discovery import BEST_TRIAL_FILE, has_test_scores, trial_name, write_best_trial
from mlplab.sweeps.search.study import SearchStudy, status_of
from mlplab.sweeps.summary import results_of
from mlplab.sweeps.sweep import SweepLauncher
from mlplab.sweeps.winner import with_introduction
from mlplab.typed_commands import inside


def finish(study: SearchStudy, trial: FrozenTrial, commands: Sequence[str], launcher: SweepLauncher) -> None:
    """Tests the best trial, which was chosen by its validation metric; writes, draws and prints the results.

    Args:
        commands: what trains the configuration of the best trial, as `training_commands`.

    Raises:
        RunFailed: if some trials failed.
    """
    root, counts = study.root, Counter(map(status_of, study.trials))
    folder = root / trial_name(trial.number)
    metrics = launcher.engine.call(score_tests, folder)
    dimensions = study.space.dimensions  # the text of a choice such as `[64,64]` is a list
    best = {
        "trial": folder.name,
        "monitor": study.monitor,
        "value": trial.value,
        "trials": dict(counts.most_common()),
        "configuration": {key: dimensions[key].given(value).value() for key, value in trial.params.items()},
        "command": commands[0],
        "test": next(iter(main_scores(metrics).values())) if has_test_scores(metrics) else {},
    }
    write_best_trial(root, best)
    shown = ", ".join(f"{count:,} {status}" for status, count in counts.most_common())
    print_line(launcher.console, f"{plural(len(study.trials), 'trial')}: {shown}")
    lines = [f"the best configuration: {inside(root / BEST_TRIAL_FILE)} (of {folder.name})"]
    if "reason" in metrics:
        lines.append(f"{folder.name}: {metrics['reason']}; to train it in full:")
    launcher.finish(results_of(root), [*lines, *(with_introduction(commands) or commands)])
    if counts["failed"]:
        raise RunFailed(failures(study))


def failures(study: SearchStudy) -> str:
    """How many trials failed, and why the first few did; if none finished, why the others did not."""
    failed = [trial for trial in study.trials if status_of(trial) == "failed"] if study.best else study.trials
    first = f"{len(failed)} of {len(study.trials)} trials failed" if study.best else "no trial finished"
    reasons = [f"  {trial_name(trial.number)}: {trial.user_attrs.get('reason', '')}" for trial in failed]
    return "\n".join([first, *first_few(reasons)])
