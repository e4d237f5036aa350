"""A search with `-m`: asks Optuna for trials, and trains them like the runs of a grid."""

import logging
import math
import re
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from omegaconf import DictConfig
from optuna.distributions import FloatDistribution

from mlplab.cli.compose import plain
from mlplab.cli.launcher import SweepLauncher
from mlplab.cli.overrides import lines_of
from mlplab.cli.sweep_runs import derive_runs
from mlplab.commands.render import command_line
from mlplab.config import Sweep, TrainConfig, parse
from mlplab.config.keys import flat
from mlplab.config.metrics import sign_of
from mlplab.errors import Fault, RunFailed, UserError, reason_of
from mlplab.imports import heavy_imports
from mlplab.runs.best_trial import trial_name
from mlplab.runs.resolve import resolved
from mlplab.runs.selection import IGNORED
from mlplab.sweeps.checks import ComposedRun, RefusedRun, check_same_loss
from mlplab.sweeps.folder import write_total
from mlplab.sweeps.search.batches import next_batch, next_bracket
from mlplab.sweeps.search.finish import failures, finish
from mlplab.sweeps.search.space import Space, Value, read_space
from mlplab.sweeps.search.study import SearchIdentity, SearchStudy, TrialResult

NOT_OF_A_RUN = re.compile(r"[+~]*(name|sweep|ensemble)\b")
"""Keys that the command of the best trial does not repeat."""

RUNG = "rung/"
"""How the names of values at rungs begin in metrics.json."""

log = logging.getLogger(__name__)


def run_search(launcher: SweepLauncher, settings: Sweep) -> None:
    """Searches, tests the best trial, and prints what was found.

    Raises:
        UserError: if the space, the table or the study in the sweep folder cannot be used.
        RunFailed: if no trial finished, or some failed.
    """
    cfg, root, cache = launcher.cfg, launcher.root, launcher.cache
    space = read_space(lines_of(cfg.hydra.overrides.task), settings.space)
    common = parse(plain(cfg))
    _check_ends(launcher, space)
    run = resolved(common, cache)
    data = cache.data(run)
    study = SearchStudy(root, space, run.monitor, settings.sampler, run.seed)
    stored = study.check_same(SearchIdentity(space.texts, _comparable(common, space), data.fingerprint))
    data.check_unchanged(stored.table, "restore it, or start a new search")
    asked = len(study.trials)
    if settings.total is not None and settings.total < asked:
        remedy = f"give the number of all trials, such as sweep.trials={asked + settings.batch}"
        what = f"the search has {asked} trials already"
        raise UserError(Fault(what, "sweep.trials", str(settings.total), remedy=remedy))
    write_total(root, settings.total)
    with heavy_imports():
        from mlplab.sweeps.stack_size import StackSize

    seconds = StackSize(run, data).seconds(settings.batch, 1) / settings.batch
    train_trials(launcher, study, settings, _defaults(cfg, common, run, space), seconds)
    if study.best is None:
        raise RunFailed(failures(study))
    finish(study, study.best, settings.ensemble, _command(common, space, study.best.params), cache)


def train_trials(
    launcher: SweepLauncher,
    study: SearchStudy,
    settings: Sweep,
    defaults: Mapping[str, Value],
    seconds_per_trial: float,
) -> None:
    """Trains trials until there are as many as asked for, or the time is over.

    Trials that a killed process has left are trained first, in their folders. The first trial, the
    configuration without the search, is never pruned: so the best is not worse.

    Args:
        defaults: the values of the first trial: those of the configuration without the search.
        seconds_per_trial: an estimate; after a batch, its own time counts.

    Raises:
        UserError: if no trial has ended yet, or two batches in a row, and the next cannot be trained. Its
            trials are left running, and are resumed by the same command.
    """
    deadline = math.inf if settings.minutes is None else time.time() + 60 * settings.minutes
    refused = not any(trial.state.is_finished() for trial in study.trials)
    while True:
        affordable = max(min(settings.batch, (deadline - time.time()) / seconds_per_trial), not study.trials)
        batch = next_batch(study, settings, defaults, int(affordable))
        if not batch:
            return
        names = {trial.number: trial_name(trial.number) for trial in batch}
        overrides = [
            [*study.space.overrides(trial.params), "test=false", f"hydra.sweep.subdir={names[trial.number]}"]
            for trial in batch
        ]
        bracket, begin = next_bracket(study, settings.pruning, deadline), time.monotonic()
        brackets = {study.root / name: bracket for number, name in names.items() if number}
        try:
            launched = launcher.launch(overrides, batch[0].number, brackets)
            refused = False
            results = [_result(result.metrics, study.monitor) for result in launched]
        except UserError as error:
            if refused:
                raise
            refused = True
            log.warning("a batch could not be trained: %s", reason_of(error))
            results = [TrialResult("failed", reason=reason_of(error))] * len(batch)
        for number, result in zip(names, results, strict=True):
            study.tell(number, result)
        seconds_per_trial = (time.monotonic() - begin) / len(batch)
        best, total = study.best, f" of {settings.total:,}" if settings.total else ""
        name = (
            f"best {study.monitor} {best.value:.4g} ({trial_name(best.number)})" if best else "none finished"
        )
        log.info("%s%s trials, %s done: %s", f"{len(study.trials):,}", total, f"{len(study.done):,}", name)


def _result(metrics: Mapping[str, Any], monitor: str) -> TrialResult:
    """How a trial has ended. One without the monitored metric has failed."""
    status, value = str(metrics["status"]), metrics.get(monitor)
    if status == "done" and value is None:
        return TrialResult("failed", reason=f"{monitor} is not defined")
    worst = sign_of(monitor) * math.inf
    values = {name: reached for name, reached in metrics.items() if name.startswith(RUNG)}
    rungs = {int(name.removeprefix(RUNG)): worst if at is None else float(at) for name, at in values.items()}
    return TrialResult(status, value, rungs, str(metrics.get("reason", "its process ended")))


def _check_ends(launcher: SweepLauncher, space: Space) -> None:
    """Checks the extreme values of each key.

    Raises:
        UserError: if a key is unknown, a value has a wrong type or is out of range, or losses cannot be
            compared.
    """
    lines = [
        [*space.overrides({key: value}), f"hydra.sweep.subdir={trial_name(0)}"]
        for key, dimension in space.dimensions.items()
        for value in dimension.ends
    ]
    runs = list(derive_runs(launcher.cfg, launcher.loader, lines, 0))
    intervals = [key for key, of_key in space.distributions.items() if isinstance(of_key, FloatDistribution)]
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


def _defaults(cfg: DictConfig, common: TrainConfig, run: TrainConfig, space: Space) -> dict[str, Value]:
    """The values of the configuration without the search, as far as the space contains them.

    Args:
        common: with `auto`.
        run: with the values that replace it.
    """
    defaults: dict[str, Value] = {}
    for values in (dict(flat(run.plain())), dict(flat(common.plain())), cfg.hydra.runtime.choices):
        for key, dimension in space.dimensions.items():
            if key in values and (value := dimension.matching_value(values[key])) is not None:
                defaults[key] = value
    return defaults


def _command(common: TrainConfig, space: Space, values: Mapping[str, Value]) -> str:
    """The command that trains a run with some values; its ensemble has as many networks as the trials."""
    networks = 1 if common.ensemble == "auto" else common.ensemble
    lines = [line for line in space.overrides(values) if not NOT_OF_A_RUN.match(line)]
    return command_line("train.py", [*lines, f"ensemble={networks}"])
