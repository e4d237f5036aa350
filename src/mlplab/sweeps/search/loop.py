"""The loop of a search: asks the study for a batch of trials, trains them, and tells it how they ended."""

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence

from hydra.core.override_parser.types import Override, OverrideType, ValueType
from optuna.trial import FrozenTrial

from mlplab.config import Mark, is_marked
from mlplab.errors import UserError, reason_of
from mlplab.runs.compare.run_result import RunResult
from mlplab.runs.discovery import trial_name
from mlplab.sweeps.grid import Runs
from mlplab.sweeps.search.space import Params
from mlplab.sweeps.search.study import SearchStudy
from mlplab.training.run import FACTOR, Bracket, Rung

# Trials of a batch that get the same shape, if their shape is searched: smaller stacks gain little. With
# little time, the first batch has so many.
FEWEST_MEMBERS = 8

# The shares of its epochs after which a trial is compared: a ninth and a third.
SHARES = (FACTOR**-2, FACTOR**-1)

# Only the best trial is tested, at the end.
UNTESTED = Override(OverrideType.CHANGE, "test", ValueType.ELEMENT, False, input_line="test=false")

# Trains runs, given their overrides and brackets by the names of their folders.
Launch = Callable[[Runs, Mapping[str, Bracket]], Sequence[RunResult]]

log = logging.getLogger(__name__)


def train_trials(launch: Launch, study: SearchStudy, defaults: Params, seconds_per_trial: float) -> None:
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
