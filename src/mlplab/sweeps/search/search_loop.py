"""A search: the run from which it starts, batches of trials until the time is over, and the best trial."""

import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from hydra.core.override_parser.types import Override, OverrideType, ValueType
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial

from mlplab.commands.train import score_tests
from mlplab.config import Mark, TrainConfig, flat, is_marked, is_one_of
from mlplab.config.metrics import main_scores
from mlplab.console import first_few, plural, print_line, quiet
from mlplab.errors import RunFailed, UserError, reason_of
from mlplab.runs.compare.run_result import RunResult
from mlplab.runs.discovery import BEST_TRIAL_FILE, trial_name, write_best_trial
from mlplab.runs.planned_run import resolved
from mlplab.runs.read_folder import has_test_scores
from mlplab.sweeps.check_runs import ComposedRun, RefusedRun, check_same_loss
from mlplab.sweeps.conclude import conclude, how_to_train, results_of
from mlplab.sweeps.grid import Runs
from mlplab.sweeps.launch import ComposedSweep, SweepLauncher
from mlplab.sweeps.plan import training_cost
from mlplab.sweeps.search.space import Param, Params, Space, space_of
from mlplab.sweeps.search.study import SearchStudy, status_of
from mlplab.training.rungs import FACTOR, Bracket, Rung
from mlplab.typed_commands import inside

# Trials of a batch that get the same shape, if their shape is searched: smaller stacks gain little. With
# little time, the first batch has so many.
FEWEST_MEMBERS = 8

# The shares of its epochs after which a trial is compared: a ninth and a third.
SHARES = (FACTOR**-2, FACTOR**-1)

# Only the best trial is tested, at the end.
UNTESTED = Override(OverrideType.CHANGE, "test", ValueType.ELEMENT, False, input_line="test=false")

log = logging.getLogger(__name__)


@quiet("optuna")
def search(launcher: SweepLauncher) -> None:
    """Searches, tests the best trial, and prints what was found.

    Raises:
        UserError: if the space, the table or the study in the sweep folder cannot be used.
        RunFailed: if no trial finished, or some failed.
    """
    composed, cache = launcher.composed, launcher.cache
    settings = composed.settings
    space = space_of(composed.overrides, settings.space)
    common = _without_search(composed, space)
    run = resolved(common, cache)
    data = cache.data(run)
    study = SearchStudy(composed.root, space, run.monitor, settings, run.seed)
    # The space, as typed, and what all trials have in common: a resumed search must have both, too.
    typed = {key: dimension.override.get_value_string() for key, dimension in space.dimensions.items()}
    values = {key: value for key, value in flat(common.plain()) if not is_marked(key, Mark.COSMETIC)}
    shared = {key: value for key, value in values.items() if not is_one_of(key, typed)}
    table = study.check_same(typed | shared, data.fingerprint)
    data.check_unchanged(table, "restore it, or start a new search")
    seconds = launcher.engine.call(training_cost, run).seconds(settings.batch, 1) / settings.batch
    defaults = _defaults(space, dict(flat(run.plain())), dict(flat(common.plain())), composed.choices)
    train_trials(launcher.launch, study, defaults, seconds)
    if study.best is None:
        raise RunFailed(failures(study))
    finish(study, study.best, launcher)


def _without_search(composed: ComposedSweep, space: Space) -> TrainConfig:
    """The configuration without the search. Checks the extreme values of each key, too.

    Raises:
        UserError: if a key is unknown, a value has a wrong type or is out of range, or losses cannot be
            compared.
    """
    ends = [{key: value} for key, dimension in space.dimensions.items() for value in dimension.ends]
    runs = composed.compose({str(values): space.overrides(values) for values in ({}, *ends)})
    faults = dict.fromkeys(fault for run in runs if isinstance(run, RefusedRun) for fault in run.error.faults)
    for fault in faults:
        dimension = space.dimensions.get(fault.where)
        is_interval = dimension and isinstance(dimension.distribution, FloatDistribution)
        if is_interval and fault.expected.startswith("a valid integer"):
            raise UserError(replace(fault, remedy="for whole numbers, write int(interval(LOW,HIGH))"))
    if faults:
        raise UserError(*faults)
    without, *valid = [run for run in runs if isinstance(run, ComposedRun)]
    check_same_loss(valid)
    return without.config


def _defaults(space: Space, *configurations: Mapping[str, object]) -> dict[str, Param]:
    defaults: dict[str, Param] = {}
    for values in configurations:  # the last counts: of the table, of `auto`, of options
        for key, dimension in space.dimensions.items():
            if key in values and (value := dimension.matching_value(values[key])) is not None:
                defaults[key] = value
    return defaults


def train_trials(
    launch: Callable[[Runs, Mapping[str, Bracket]], Sequence[RunResult]],
    study: SearchStudy,
    defaults: Params,
    seconds_per_trial: float,
) -> None:
    """Trains trials until there are as many as asked for, or the time is over.

    Trials that a killed process has left are trained first, in their folders. The first trial, the
    configuration without the search (`defaults`), is never pruned: so the best is not worse, if there is time
    for it. In less time, trials end early; the first batch has several all the same. After a batch, its own
    seconds per trial count.

    Raises:
        UserError: if no trial has ended yet, or two batches in a row, and the next cannot be trained. Its
            trials are left running, and are resumed by the same command.
    """
    settings = study.settings
    deadline = math.inf if settings.minutes is None else time.time() + 60 * settings.minutes
    refused = not any(trial.state.is_finished() for trial in study.trials)
    while True:
        fewest = 0 if study.trials else FEWEST_MEMBERS
        affordable = max(min(settings.batch, (deadline - time.time()) / seconds_per_trial), fewest)
        batch = next_batch(study, defaults, int(affordable))
        if not batch:
            return
        trials = {trial_name(trial.number): trial for trial in batch}
        overrides = {name: [*study.space.overrides(t.params), UNTESTED] for name, t in trials.items()}
        bracket, begin = next_bracket(study, deadline), time.monotonic()
        brackets = {name: bracket if t.number else Bracket((), deadline) for name, t in trials.items()}
        try:
            results = [run.metrics for run in launch(overrides, brackets)]
            refused = False
        except UserError as error:
            if refused:
                raise
            refused = True
            log.warning("a batch could not be trained: %s", reason_of(error))
            results = [{"status": "failed", "reason": reason_of(error)}] * len(batch)
        for trial, result in zip(batch, results, strict=True):
            study.tell(trial.number, result)
        seconds_per_trial = (time.monotonic() - begin) / len(batch)
        best, total = study.best, f" of {settings.total:,}" if settings.total else ""
        name = f"best {study.monitor} {best.value:.4g} ({trial_name(best.number)})" if best else "no best yet"
        log.info("%s%s trials, %s done: %s", f"{len(study.trials):,}", total, f"{len(study.done):,}", name)


def next_batch(study: SearchStudy, defaults: Params, most: int) -> list[FrozenTrial]:
    """The trials that train next: those that had been started before, and at most `most` new ones.

    Batches end at multiples of their size, whatever was interrupted.
    """
    running = [trial for trial in study.trials if not trial.state.is_finished()]
    settings, asked = study.settings, len(study.trials)
    end = math.ceil((asked + (not running)) / settings.batch) * settings.batch
    end = min(end, settings.total or end, asked + most)
    return running + [study.ask(_fixed_values(study, defaults, n)) for n in range(asked, end)]


def _fixed_values(study: SearchStudy, defaults: Params, number: int) -> Params:
    """The values that a trial gets without the sampler: its shape is that of the first of its group."""
    if number == 0:
        return defaults
    first = number - number % (batch := study.settings.batch) % min(FEWEST_MEMBERS, batch)
    if first == number:
        return {}
    params = study.trials[first].params
    return {key: params[key] for key in study.space.dimensions if not is_marked(key, Mark.PER_MEMBER)}


def next_bracket(study: SearchStudy, deadline: float) -> Bracket:
    """When the trials of the next batch may end early: at rungs, and at a deadline in seconds since 1970."""
    ended = [trial.intermediate_values for trial in study.trials if trial.state.is_finished()]
    rungs = [
        Rung(share, tuple(study.sign * values[number] for values in ended if number in values))
        for number, share in enumerate(SHARES, 1)
    ]
    return Bracket(tuple(rungs) if study.settings.pruning == "halving" else (), deadline)


def finish(study: SearchStudy, trial: FrozenTrial, launcher: SweepLauncher) -> None:
    """Tests the best trial, which was chosen by its validation metric; writes, draws and prints the results.

    Raises:
        RunFailed: if some trials failed.
    """
    values = study.space.overrides(trial.params)
    training = how_to_train(launcher.composed.compose, values, launcher.cache)
    assert training, "a trial that was composed can be composed again"
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
        "command": training[-1],
        "test": next(iter(main_scores(metrics).values())) if has_test_scores(metrics) else {},
    }
    write_best_trial(root, best)
    shown = ", ".join(f"{count:,} {status}" for status, count in counts.most_common())
    print_line(launcher.console, f"{plural(len(study.trials), 'trial')}: {shown}")
    lines = [f"the best configuration: {inside(root / BEST_TRIAL_FILE)} (of {folder.name})"]
    if "reason" in metrics:
        lines.append(f"{folder.name}: {metrics['reason']}; the command below trains it in full")
    conclude(launcher, results_of(root), [*lines, *training])
    if counts["failed"]:
        raise RunFailed(failures(study))


def failures(study: SearchStudy) -> str:
    """How many trials failed, and why the first few did; if none finished, why the others did not."""
    failed = [trial for trial in study.trials if status_of(trial) == "failed"] if study.best else study.trials
    first = f"{len(failed)} of {len(study.trials)} trials failed" if study.best else "no trial finished"
    reasons = [f"  {trial_name(trial.number)}: {trial.user_attrs.get('reason', '')}" for trial in failed]
    return "\n".join([first, *first_few(reasons)])
