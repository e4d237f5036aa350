"""The sweeper and the launcher that Hydra finds. They import torch only when training starts."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from mlplab.cli.hydra_errors import explained
from mlplab.cli.overrides import lines_of, typed_keys
from mlplab.config import parse_launcher
from mlplab.errors import Fault, RunFailed, UserError
from mlplab.imports import heavy_imports
from mlplab.runs.folder import AS_PLANNED
from mlplab.sweeps.checks import check_installed

if TYPE_CHECKING:
    from mlplab.cli.launcher import SweepLauncher
    from mlplab.runs.selection import RunResult


class GridOrSearch(Sweeper):
    """Launches a run for each combination of the given values, or searches; prints a summary."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Creates the launcher."""
        self.cfg, self.loader = config, hydra_context.config_loader
        self.launcher = Plugins.instance().instantiate_launcher(hydra_context, task_function, config)

    def sweep(self, arguments: list[str]) -> Any:
        """Launches all runs of a grid at once, and those of a search in batches."""
        from mlplab.cli.compose import sweep_settings
        from mlplab.sweeps.search.space import is_search

        launcher, settings = self.launcher, sweep_settings(self.cfg)
        with explained():
            searches = is_search(arguments, settings)
        assert launcher is not None
        try:
            if not searches:
                self._launch_grid(launcher, arguments, settings.ensemble)
            elif isinstance(launcher, Lockstep):
                from mlplab.cli.search import run_search

                run_search(launcher.runs)
            else:
                remedy = "remove hydra/launcher=…"
                raise UserError(Fault("a search needs hydra/launcher=lockstep", "sweep", remedy=remedy))
        finally:
            if isinstance(launcher, Lockstep):
                launcher.runs.close()

    def _launch_grid(self, launcher: Launcher, arguments: list[str], ensemble: int | None) -> None:
        from mlplab.data.cache import DataCache
        from mlplab.runs.selection import RunResult
        from mlplab.runs.trained.chosen_ensemble import check_replaceable
        from mlplab.sweeps.draw import draw_sweep
        from mlplab.sweeps.folder import check_not_search
        from mlplab.sweeps.grid import grid
        from mlplab.sweeps.summary import results_of, summarize

        typed = typed_keys(lines_of(self.cfg.hydra.overrides.hydra))
        with explained():
            runs = grid(self.loader, arguments, name_folders="hydra.sweep.subdir" not in typed)
        root = Path(str(self.cfg.hydra.sweep.dir))
        check_not_search(root)
        if ensemble:
            check_replaceable(root / f"ensemble-{ensemble}")
        launched: list[RunResult] = []
        if isinstance(launcher, Lockstep):
            cache, launched = launcher.runs.cache, launcher.runs.launch(runs)
        else:
            cache = DataCache()
            launcher.launch(runs, initial_job_idx=0)
        results = results_of(root, {result.folder: result for result in launched})
        try:
            draw_sweep(root, results, cache)
        finally:  # a full disk or Ctrl-C takes only the figures
            summarize(root, len(runs), results)
        if ensemble:
            with heavy_imports():
                from rich.console import Console

                from mlplab.commands.select_ensemble import print_choice, select_ensemble

            print_choice(select_ensemble(root, ensemble, cache), Console())


class Lockstep(Launcher):
    """Trains runs together if they can share a stack.

    Args:
        section: its section of the configuration, `config.Launcher`.
    """

    def __init__(self, **section: Any) -> None:
        with explained():
            plain = {
                key: OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
                for key, value in section.items()
            }
        self.section = parse_launcher(plain)
        check_installed(self.section.engine)

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Stores the configuration and the loader that runs are composed from."""
        self.cfg, self.loader = config, hydra_context.config_loader

    @cached_property
    def runs(self) -> "SweepLauncher":
        """What trains the runs, with their tables."""
        from mlplab.cli.launcher import SweepLauncher

        return SweepLauncher(self.cfg, self.loader, self.section)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Trains runs for Hydra's own sweepers: returns the monitored metric of each, or the error."""
        results = self.runs.launch(job_overrides, initial_job_idx)
        return [_returned(list(lines), result) for lines, result in zip(job_overrides, results, strict=True)]


def _returned(overrides: list[str], result: "RunResult") -> JobReturn:
    returned, metrics = JobReturn(), result.metrics
    returned.overrides = overrides
    if metrics["status"] in AS_PLANNED:
        returned.status, returned.return_value = JobStatus.COMPLETED, metrics[result.config["monitor"]]
    else:
        returned.status = JobStatus.FAILED
        returned.return_value = RunFailed(metrics.get("reason", metrics["status"]))
    return returned
