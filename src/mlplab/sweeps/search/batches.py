"""The batches of a search: which trials train next, with which values, and when they are compared."""

import math
from collections.abc import Mapping

from optuna.trial import FrozenTrial

from mlplab.config import Sweep
from mlplab.sweeps.search.space import Value
from mlplab.sweeps.search.study import SearchStudy
from mlplab.sweeps.stack_keys import may_differ
from mlplab.training.callbacks.rungs import FACTOR, Bracket, Rung

FEWEST_MEMBERS = 8
"""Trials of a batch that get the same shape, if their shape is searched: smaller stacks gain little."""

SHARES = (FACTOR**-2, FACTOR**-1)
"""The shares of its epochs after which a trial is compared: a ninth and a third."""


def next_batch(
    study: SearchStudy, settings: Sweep, defaults: Mapping[str, Value], most: int
) -> list[FrozenTrial]:
    """The trials that train next: those that had been started before, and new ones to fill the batch.

    Batches end at multiples of their size, whatever was interrupted.

    Args:
        defaults: the values of the first trial: those of the configuration without the search.
        most: new trials at most.
    """
    running = [trial for trial in study.trials if not trial.state.is_finished()]
    asked = len(study.trials)
    end = math.ceil((asked + (not running)) / settings.batch) * settings.batch
    end = min(end, settings.total or end, asked + most)
    return running + [study.ask(_fixed_values(study, settings, defaults, n)) for n in range(asked, end)]


def _fixed_values(
    study: SearchStudy, settings: Sweep, defaults: Mapping[str, Value], number: int
) -> Mapping[str, Value]:
    """The values that a trial gets without the sampler: its shape is that of the first of its group."""
    if number == 0:
        return defaults
    first = number - number % settings.batch % min(FEWEST_MEMBERS, settings.batch)
    if first == number:
        return {}
    params = study.trials[first].params
    return {key: params[key] for key in study.space.dimensions if not may_differ(key)}


def next_bracket(study: SearchStudy, pruning: str, deadline: float) -> Bracket:
    """When the trials of the next batch may be pruned.

    Args:
        pruning: `none` or `halving`.
        deadline: the time at which trials are pruned, in seconds since 1970.
    """
    ended = [trial.intermediate_values for trial in study.trials if trial.state.is_finished()]
    rungs = [
        Rung(share, tuple(study.sign * values[number] for values in ended if number in values))
        for number, share in enumerate(SHARES, 1)
    ]
    return Bracket(tuple(rungs) if pruning == "halving" else (), deadline)
