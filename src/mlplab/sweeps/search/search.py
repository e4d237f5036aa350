"""A search: its space, its study, the run from which it starts, and its end."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from optuna.distributions import FloatDistribution

from mlplab.config import TrainConfig
from mlplab.config.dotted_keys import flat
from mlplab.console import quiet
from mlplab.errors import Fault, RunFailed, UserError
from mlplab.runs.compare.varying_keys import IGNORED
from mlplab.runs.resolve import resolved
from mlplab.sweeps.checks import ComposedRun, RefusedRun, check_same_loss
from mlplab.sweeps.search.finish import failures, finish
from mlplab.sweeps.search.loop import train_trials
from mlplab.sweeps.search.space import Space, Value, read_space
from mlplab.sweeps.search.study import SearchStudy
from mlplab.sweeps.stack_size import estimate
from mlplab.sweeps.sweep import ComposedSweep, SweepLauncher
from mlplab.sweeps.winner import training_commands


@quiet("optuna")
def search(launcher: SweepLauncher) -> None:
    """Searches, tests the best trial, and prints what was found.

    Raises:
        UserError: if the space, the table or the study in the sweep folder cannot be used.
        RunFailed: if no trial finished, or some failed.
    """
    composed, engine = launcher.composed, launcher.engine
    settings, cache = composed.settings, engine.cache
    space = read_space(composed.overrides, settings.space)
    (without_search,) = composed.compose({"": space.fixed})
    if isinstance(without_search, RefusedRun):
        raise without_search.error
    common = without_search.config
    _check_ends(composed, space)
    run = resolved(common, cache)
    data = cache.data(run)
    study = SearchStudy(composed.root, space, run.monitor, settings.sampler, run.seed)
    typed = {key: dimension.text for key, dimension in space.dimensions.items()}
    table = study.check_same(typed, _comparable(common, space), data.fingerprint)
    data.check_unchanged(table, "restore it, or start a new search")
    existing = len(study.trials)
    if settings.total is not None and settings.total < existing:
        remedy = f"give the number of all trials, such as sweep.trials={existing + settings.batch}"
        what = f"the search has {existing} trials already"
        raise UserError(Fault(what, "sweep.trials", str(settings.total), remedy=remedy))
    size = engine.call(estimate, run)
    seconds = size.seconds(settings.batch, 1) / settings.batch
    defaults = _defaults(space, dict(flat(run.plain())), dict(flat(common.plain())), composed.choices)
    train_trials(launcher.launch, study, settings, defaults, seconds)
    if study.best is None:
        raise RunFailed(failures(study))
    overrides = space.overrides(study.best.params)
    [best] = composed.compose({"": overrides})
    assert isinstance(best, ComposedRun)  # as it has been trained
    finish(study, study.best, training_commands(best, overrides, cache), launcher)


def _check_ends(composed: ComposedSweep, space: Space) -> None:
    """Checks the extreme values of each key.

    Raises:
        UserError: if a key is unknown, a value has a wrong type or is out of range, or losses cannot be
            compared.
    """
    ends = {
        f"{key}={value}": space.overrides({key: value})
        for key, dimension in space.dimensions.items()
        for value in dimension.ends
    }
    runs = composed.compose(ends)
    intervals = [key for key, values in space.distributions.items() if isinstance(values, FloatDistribution)]
    faults = dict.fromkeys(fault for run in runs if isinstance(run, RefusedRun) for fault in run.error.faults)
    for fault in faults:
        if fault.where in intervals and fault.expected.startswith("a valid integer"):
            raise UserError(replace(fault, remedy="for whole numbers, write int(interval(LOW,HIGH))"))
    if faults:
        raise UserError(*faults)
    check_same_loss([run for run in runs if isinstance(run, ComposedRun)])


def _comparable(common: TrainConfig, space: Space) -> dict[str, Any]:
    """What all trials have in common, and a resumed search must have, too."""
    groups = tuple(f"{key.replace('/', '.')}." for key in space.dimensions)
    return {
        key: value
        for key, value in flat(common.plain())
        if key not in (*IGNORED, *space.dimensions) and not key.startswith(groups)
    }


def _defaults(space: Space, *configurations: Mapping[str, Any]) -> dict[str, Value]:
    """The values of the configuration without the search, as far as the space contains them.

    Args:
        configurations: values by key, of which the last counts: those of the table, `auto`, and options.
    """
    defaults: dict[str, Value] = {}
    for values in configurations:
        for key, dimension in space.dimensions.items():
            if key in values and (value := dimension.matching_value(values[key])) is not None:
                defaults[key] = value
    return defaults
