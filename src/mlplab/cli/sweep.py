"""A sweep with `-m`: a grid, or a search."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from hydra.core.config_loader import ConfigLoader
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig

from mlplab.cli.compose import sweep_settings
from mlplab.cli.launcher import SweepLauncher
from mlplab.cli.overrides import lines_of, typed_keys
from mlplab.data.cache import DataCache
from mlplab.errors import Fault, RunFailed, UserError
from mlplab.imports import heavy_imports
from mlplab.sweeps.draw import draw_sweep
from mlplab.sweeps.folder import check_kind
from mlplab.sweeps.grid import grid
from mlplab.sweeps.search.space import is_search
from mlplab.sweeps.summary import results_of, summarize


def sweep(
    cfg: DictConfig,
    loader: ConfigLoader,
    arguments: Sequence[str],
    lockstep: SweepLauncher | None,
    launcher: Launcher,
) -> None:
    """Trains the runs of a sweep, and prints what came of them.

    Args:
        cfg: the composition that the runs have in common.
        lockstep: what trains them together; None: `launcher` trains each as a job, as Hydra does.

    Raises:
        UserError: if a value, the table or the folder cannot be used.
        RunFailed: if some runs failed.
    """
    settings, root = sweep_settings(cfg), Path(str(cfg.hydra.sweep.dir))
    searches = is_search(arguments, settings)
    check_kind(root, searches=searches)
    if searches and not lockstep:
        remedy = "remove hydra/launcher=…"
        raise UserError(Fault("a search needs hydra/launcher=lockstep", "sweep", remedy=remedy))
    try:
        if searches and lockstep:
            from mlplab.cli.search import run_search

            run_search(lockstep, settings)
        else:
            named = "hydra.sweep.subdir" in typed_keys(lines_of(cfg.hydra.overrides.hydra))
            runs = grid(loader, arguments, name_folders=not named)
            _train_grid(runs, root, settings.ensemble, lockstep, launcher)
    finally:
        if lockstep:
            lockstep.close()


def _train_grid(
    runs: Sequence[Sequence[str]],
    root: Path,
    ensemble: int | None,
    lockstep: SweepLauncher | None,
    launcher: Launcher,
) -> None:
    """Trains all runs of a grid, draws and prints the best, and chooses an ensemble of that size."""
    if lockstep:
        cache, launched = lockstep.cache, lockstep.launch(runs)
    else:
        cache, launched = DataCache(), []
        launcher.launch(runs, initial_job_idx=0)
    results = results_of(root, {result.folder: result for result in launched})
    try:
        draw_sweep(root, results, cache)
    except BaseException:  # a full disk or Ctrl-C takes only the figures
        with suppress(RunFailed):
            summarize(root, len(runs), results)
        raise
    summarize(root, len(runs), results)
    if ensemble:
        with heavy_imports():
            from rich.console import Console

            from mlplab.commands.select_ensemble import print_choice, select_ensemble

        print_choice(select_ensemble(root, ensemble, cache), Console())
