"""Composed runs of a sweep: reads their tables, and refuses invalid ones before torch is imported."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from mlplab.config import TrainConfig, flat
from mlplab.data.cache import DataCache
from mlplab.data.load_table import table_key
from mlplab.errors import Fault, UserError, listed
from mlplab.runs.compare.ranking import LOSS_KEYS, common_monitor, varying_keys
from mlplab.runs.compare.run_result import RunResult, by_table, labelled
from mlplab.runs.planned_run import PlannedRun, resolved, was_started
from mlplab.runs.run_archive import check_finished
from mlplab.sweeps.grid import Runs


@dataclass(frozen=True)
class ComposedRun:
    """A run of a sweep whose table has not been read yet."""

    config: TrainConfig
    folder: Path


@dataclass(frozen=True)
class RefusedRun:
    """A run of a sweep that cannot be trained; `values` is empty if it could not be composed."""

    folder: Path
    values: Mapping[str, object]
    error: UserError


# Composes runs, given their overrides by the names of their folders.
ComposeRuns = Callable[[Runs], Sequence[ComposedRun | RefusedRun]]

R = TypeVar("R", ComposedRun, PlannedRun)


def sift(
    runs: Iterable[R], key: Callable[[R], object], check: Callable[[R], object]
) -> tuple[list[R], list[RefusedRun]]:
    """The runs that pass a check, and those that are refused. Of runs with equal keys, one is checked."""
    keyed = [(key(run), run) for run in runs]
    errors: dict[object, UserError] = {}
    for run_key, run in dict(keyed).items():
        try:
            check(run)
        except UserError as error:
            errors[run_key] = error
    refused = [RefusedRun(run.folder, run.config.plain(), errors[k]) for k, run in keyed if k in errors]
    return [run for run_key, run in keyed if run_key not in errors], refused


def initial_run(run: ComposedRun | PlannedRun) -> str | None:
    """The run from whose weights a run starts; None if it is resumed, or starts from random weights."""
    return None if was_started(run.folder) else run.config.init_from


def check_runs(
    runs: Sequence[ComposedRun | RefusedRun], cache: DataCache, *, alone: bool = False
) -> tuple[list[PlannedRun], list[RefusedRun]]:
    """Reads and splits the tables of a sweep's runs; returns the runs, resolved, and those that are refused.

    Args:
        alone: whether `auto` stands for what it does in a run alone.

    Raises:
        UserError: if all runs are refused, or their losses cannot be compared.
    """

    def key(run: ComposedRun) -> object:
        config, data = run.config, run.config.data
        task = config.model.preprocessing.target, config.loss.name, config.monitor, data.class_weights
        return str((table_key(config), data.split, task, initial_run(run)))

    def check(run: ComposedRun) -> None:
        if init_from := initial_run(run):
            check_finished(Path(init_from), "init_from")
        cache.data(run.config)

    valid, refused = sift((run for run in runs if isinstance(run, ComposedRun)), key, check)
    refused = [*(run for run in runs if isinstance(run, RefusedRun)), *refused]
    if not valid:
        raise refused[0].error
    planned = [PlannedRun(resolved(run.config, cache, run.folder, alone=alone), run.folder) for run in valid]
    check_same_loss(planned)
    return planned, refused


def check_same_loss(runs: Sequence[ComposedRun] | Sequence[PlannedRun]) -> None:
    """Raises `UserError` if all runs monitor `val/loss`, and the losses of some table's runs differ."""
    if {run.config.monitor for run in runs} != {"val/loss"}:
        return
    for table in by_table([RunResult(run.folder, dict(flat(run.config.plain())), {}) for run in runs]):
        if (monitor := common_monitor(table)) != "val/loss":
            keys = [key for key in varying_keys(table) if key.startswith(LOSS_KEYS)]
            found = listed(dict.fromkeys(labelled(keys, run.values(keys)) for run in table), 5)
            what, remedy = "different losses cannot be compared", f"choose another metric: monitor={monitor}"
            raise UserError(Fault(what, "monitor=val/loss", found, remedy=remedy))
