"""Refuses wrong runs of a sweep before torch is imported."""

from collections.abc import Sequence
from pathlib import Path

from mlplab.commands.train import check_init_from
from mlplab.data.cache import DataCache
from mlplab.data.load_table import table_key
from mlplab.errors import Fault, UserError
from mlplab.runs.resume import was_started
from mlplab.sweeps.run import SweepRun


def check_runs(runs: Sequence[SweepRun], root: Path, cache: DataCache) -> list[SweepRun]:
    """Reads and splits the tables of a sweep's runs, and refuses the runs for which that fails.

    Args:
        root: the sweep's folder.
        cache: gets the tables and splits.

    Raises:
        UserError: if all runs are refused, or two have the same folder.
    """
    _check_folders(runs, root)
    errors: dict[str, UserError | None] = {}
    checked = []
    for run in runs:
        if run.config:
            key = _inputs(run)
            if key not in errors:
                errors[key] = _error(run, cache)
            error = errors[key]
            run = run.refused(error) if error else run
        checked.append(run)
    if all(run.error for run in checked):
        raise checked[0].error or AssertionError
    return checked


def _inputs(run: SweepRun) -> str:
    """What the check depends on: runs with the same inputs are checked once."""
    config = run.config
    assert config is not None
    init_from = None if was_started(run.folder) else config.init_from
    return str((table_key(config), config.model.preprocessing.target, config.data.split, init_from))


def _error(run: SweepRun, cache: DataCache) -> UserError | None:
    assert run.config is not None
    try:
        if not was_started(run.folder):
            check_init_from(run.config)
        cache.data(run.config)
    except UserError as error:
        return error
    return None


def _check_folders(runs: Sequence[SweepRun], root: Path) -> None:
    seen: set[Path] = set()
    for run in runs:
        if not run.folder.resolve().is_relative_to(root.resolve()):
            raise UserError(Fault("is outside the sweep's folder", str(run.folder)))
        if run.folder in seen:
            remedy = "give each value once, or set hydra.sweep.subdir to distinct names"
            raise UserError(Fault("two runs have the same folder", str(run.folder), remedy=remedy))
        seen.add(run.folder)
