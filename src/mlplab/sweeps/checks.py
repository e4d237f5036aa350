"""Refuses invalid runs of a sweep before torch is imported."""

from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from mlplab.config import Engine, TrainConfig
from mlplab.config.keys import flat
from mlplab.data.cache import DataCache
from mlplab.data.load_table import table_key
from mlplab.errors import Fault, UserError, listed
from mlplab.runs.discovery import finished_run
from mlplab.runs.resolve import resolved
from mlplab.runs.resume import was_started
from mlplab.runs.selection import OF_LOSS, RunResult, common_monitor, labelled, varying_keys
from mlplab.runs.tables import by_table
from mlplab.sweeps.run import SweepRun


def check_runs(runs: Sequence[SweepRun], root: Path, cache: DataCache) -> list[SweepRun]:
    """Reads and splits the tables of a sweep's runs, and refuses the runs for which that fails.

    Args:
        root: the sweep's folder.
        cache: stores the tables and splits.

    Raises:
        UserError: if all runs are refused, two have the same folder, or their losses cannot be compared.
    """
    _check_folders(runs, root)
    errors: dict[str, UserError | None] = {}
    checked = []
    for run in runs:
        if run.config and run.config.trainer.devices > 1:
            run = run.refused(UserError(_several_devices(run.config.trainer.devices)))
        elif run.config:
            init_from = None if was_started(run.folder) else run.config.init_from
            data, target = run.config.data, run.config.model.preprocessing.target
            of_task = run.config.loss.name, run.config.monitor, data.class_weights
            key = str((table_key(run.config), target, of_task, data.split, init_from))  # each is checked once
            if key not in errors:
                errors[key] = _error(run.config, init_from, cache)
            error = errors[key]
            run = (
                run.refused(error) if error else replace(run, config=resolved(run.config, cache, run.folder))
            )
        checked.append(run)
    if all(run.error for run in checked):
        raise checked[0].error or AssertionError
    check_same_loss(checked)
    return checked


def check_same_loss(runs: Sequence[SweepRun]) -> None:
    """Checks that the runs of each table can be ranked if all monitor `val/loss`.

    Raises:
        UserError: if their losses differ.
    """
    configs = [(run.folder, run.config) for run in runs if run.config]
    if {config.monitor for _, config in configs} != {"val/loss"}:
        return
    results = [RunResult(folder, dict(flat(config.plain())), {}) for folder, config in configs]
    for table in by_table(results):
        if (monitor := common_monitor(table)) != "val/loss":
            keys = [key for key in varying_keys(table) if key.startswith(OF_LOSS)]
            found = listed(dict.fromkeys(labelled(keys, run.values(keys)) for run in table), 5)
            what, remedy = "different losses cannot be compared", f"choose another metric: monitor={monitor}"
            raise UserError(Fault(what, "monitor=val/loss", found, remedy=remedy))


def check_installed(engine: Engine) -> None:
    """Checks that the package of an engine is installed.

    Raises:
        UserError: if it is not.
    """
    package = {"local": "", "slurm": "submitit", "ray": "ray"}[engine.name]
    if package and find_spec(package) is None:
        remedy = f"install it: uv sync --extra {engine.name}, or pip install -e '.[{engine.name}]'"
        where = f"hydra/launcher/engine={engine.name}"
        raise UserError(Fault(f"needs the package {package}, which is not installed", where, remedy=remedy))


def _several_devices(devices: int) -> Fault:
    remedy = "train several stacks at a time: trainer.devices=1 hydra.launcher.workers=…"
    return Fault("is for one run, not for a sweep", f"trainer.devices={devices}", remedy=remedy)


def _error(config: TrainConfig, init_from: str | None, cache: DataCache) -> UserError | None:
    try:
        if init_from:
            finished_run(Path(init_from), "init_from")
        cache.data(config)
    except UserError as error:
        return error
    return None


def _check_folders(runs: Sequence[SweepRun], root: Path) -> None:
    seen: set[Path] = set()
    for run in runs:
        if not run.folder.resolve().is_relative_to(root.resolve()):
            remedy = "choose a hydra.sweep.subdir inside it"
            raise UserError(Fault("is outside the sweep's folder", str(run.folder), remedy=remedy))
        if run.folder in seen:
            remedy = "give each value once, or make the names in hydra.sweep.subdir distinct"
            raise UserError(Fault("two runs have the same folder", str(run.folder), remedy=remedy))
        seen.add(run.folder)
