"""A search with `-m`: composes the trials that it chooses, and has the launcher train them."""

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.config_loader import ConfigLoader
from omegaconf import DictConfig
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial

from mlplab.cli.compose import plain, sweep_settings
from mlplab.cli.hydra_errors import explained
from mlplab.cli.overrides import lines_of, typed_keys
from mlplab.cli.sweep_runs import derive_runs
from mlplab.commands.render import command_line
from mlplab.config import Sweep, TrainConfig, parse
from mlplab.config.keys import flat
from mlplab.data.cache import DataCache
from mlplab.errors import Fault, UserError
from mlplab.imports import heavy_imports
from mlplab.runs.best_trial import trial_name
from mlplab.runs.resolve import resolved
from mlplab.runs.run import Run
from mlplab.runs.selection import IGNORED
from mlplab.runs.trained.chosen_ensemble import check_replaceable
from mlplab.sweeps.checks import RefusedRun, check_same_loss
from mlplab.sweeps.folder import check_not_grid, write_total
from mlplab.sweeps.search.finish import finish
from mlplab.sweeps.search.search import Search
from mlplab.sweeps.search.space import Space, Value, read_space
from mlplab.sweeps.search.study import SearchStudy
from mlplab.sweeps.stack_keys import may_differ

if TYPE_CHECKING:
    from mlplab.training.pruning import Bracket

NOT_OF_A_RUN = ("name", "sweep", "ensemble")
"""Keys that the command of the best trial does not repeat."""


log = logging.getLogger(__name__)

Launch = Callable[[Sequence[list[str]], int, "Mapping[Path, Bracket]"], None]
"""Trains runs, given the overrides of each, the number of the first, and the rungs of each by its folder."""


def run_search(
    cfg: DictConfig, loader: ConfigLoader, launch: Launch, cache: DataCache, *, may_prune: bool
) -> None:
    """Searches, and prints what was found.

    Args:
        cfg: the composition that all trials have in common.
        launch: trains the runs of a batch.
        cache: stores the table.
        may_prune: whether the launcher can prune runs.

    Raises:
        UserError: if the space, the table or the study in the sweep folder cannot be used.
        RunFailed: if no trial finished, or some failed.
    """
    settings, root = sweep_settings(cfg), Path(str(cfg.hydra.sweep.dir))
    if "hydra.sweep.subdir" in typed_keys(lines_of(cfg.hydra.overrides.hydra)):
        what = "has no meaning for a search, whose folders are trial-0000, trial-0001, …"
        raise UserError(Fault(what, "hydra.sweep.subdir", remedy="remove it"))
    with explained():
        space = read_space(lines_of(cfg.hydra.overrides.task), settings.space)
    if settings.pruning != "none" and not may_prune:
        remedy = "remove hydra/launcher=, or type sweep.pruning=none"
        raise UserError(
            Fault("needs hydra/launcher=lockstep", "sweep.pruning", settings.pruning, remedy=remedy)
        )
    common = parse(plain(cfg))
    _check_corners(cfg, loader, space)
    run = resolved(common, cache)
    data = cache.data(run)
    check_not_grid(root)
    if settings.ensemble:
        check_replaceable(root / f"ensemble-{settings.ensemble}")
    study = SearchStudy(root, settings.storage, space, run.monitor, settings.sampler, run.seed)
    study.check_same({"space": space.texts, "configuration": _comparable(common, space)})
    data.check_unchanged(study.remembered("table", data.fingerprint), "restore it, or start a new search")
    _check_total(settings, study)
    if space.size < (settings.total or math.inf):
        log.warning("the space has %d configurations, which a grid would try once each", int(space.size))

    deadline = None if settings.minutes is None else time.time() + 60 * settings.minutes

    def train(trials: Sequence[FrozenTrial]) -> None:
        lines = [
            [*space.overrides(trial.params), "test=false", f"hydra.sweep.subdir={trial_name(trial.number)}"]
            for trial in trials
        ]
        found = _brackets(trials, study, settings.pruning, deadline) if may_prune else {}
        launch(lines, trials[0].number, {root / trial_name(number): each for number, each in found.items()})

    def seconds(trials: int) -> float:
        with heavy_imports():
            from mlplab.sweeps.stack_size import StackSize

        return StackSize.of(run, data).seconds(trials, 1)

    search = Search(
        root,
        settings,
        study,
        run.monitor,
        _defaults(cfg, common, run, space),
        [key for key in space.dimensions if not may_differ(key)],
        train,
        seconds,
        deadline,
    )
    write_total(root, settings.total)
    search.run()
    finish(root, settings, study, run.monitor, lambda values: _command(common, space, values), cache)


def _brackets(
    trials: Sequence[FrozenTrial], study: SearchStudy, kind: str, deadline: float | None
) -> "Mapping[int, Bracket]":
    """When each trial of a batch may be pruned, by its number."""
    with heavy_imports():
        from mlplab.sweeps.search.pruning import brackets

    return brackets(trials, study, kind, deadline)


def _check_corners(cfg: DictConfig, loader: ConfigLoader, space: Space) -> None:
    """Checks the extreme values of each key.

    Raises:
        UserError: if a key is unknown, a value has a wrong type or is out of range, or losses cannot be
            compared.
    """
    lines = [[*corner, f"hydra.sweep.subdir={trial_name(0)}"] for corner in space.corners()]
    runs = list(derive_runs(cfg, loader, lines, 0))
    refused = [run for run in runs if isinstance(run, RefusedRun)]
    faults = dict.fromkeys(fault for run in refused for fault in run.error.faults)
    for fault in faults:
        dimension = space.dimensions.get(fault.where)
        is_float = dimension is not None and isinstance(dimension.distribution, FloatDistribution)
        if is_float and fault.expected.startswith("a whole number"):
            raise UserError(replace(fault, remedy="for whole numbers, write int(interval(LOW,HIGH))"))
    if faults:
        raise UserError(*faults)
    check_same_loss([run for run in runs if isinstance(run, Run)])


def _comparable(common: TrainConfig, space: Space) -> dict[str, Any]:
    """What all trials have in common, and a resumed search must have, too."""
    groups = tuple(f"{key.replace('/', '.')}." for key in space.dimensions)
    return {
        key: value
        for key, value in flat(common.plain())
        if key not in (*IGNORED, *space.dimensions) and not key.startswith(groups)
    }


def _check_total(settings: Sweep, study: SearchStudy) -> None:
    total, asked = settings.total, len(study.trials)
    if total is not None and total < asked:
        what = f"the search has {asked} trials already"
        remedy = f"give the number of all trials, such as sweep.trials={asked + settings.batch}"
        raise UserError(Fault(what, "sweep.trials", str(total), remedy=remedy))


def _defaults(cfg: DictConfig, common: TrainConfig, run: TrainConfig, space: Space) -> dict[str, Value]:
    """The values of the configuration without the search, as far as the space contains them.

    Args:
        common: with `auto`.
        run: with the values that replace it.
    """
    typed, chosen = dict(flat(common.plain())), dict(flat(run.plain()))
    found: dict[str, Value] = {}
    for key, dimension in space.dimensions.items():
        sources = (cfg.hydra.runtime.choices, typed, chosen)
        values = (dimension.matching_value(source[key]) for source in sources if key in source)
        if (value := next((each for each in values if each is not None), None)) is not None:
            found[key] = value
    return found


def _command(common: TrainConfig, space: Space, values: Mapping[str, Value]) -> str:
    """The command that trains a run with some values; its ensemble has as many networks as the trials."""
    lines = [line for line in space.overrides(values) if not _is_left_out(line)]
    members = 1 if common.ensemble == "auto" else common.ensemble
    return command_line("train.py", [*lines, f"ensemble={members}"])


def _is_left_out(line: str) -> bool:
    (key,) = typed_keys([line])
    return key.partition(".")[0] in NOT_OF_A_RUN
